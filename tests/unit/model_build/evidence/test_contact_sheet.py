"""Contact sheets show each frame with its own maps, of the plane that was said."""

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.labels import PLANES
from model_build.data.records import Record, Source
from model_build.evaluation.predictions import Outcome, run_engine
from model_build.evidence.contact_sheet import (
    Case,
    choose_right,
    choose_wrong,
    draw_sheet,
    legend,
    make_case,
    paint_signed,
    write_sheets,
)
from model_build.evidence.gradient_shap import blurred, gradient_shap
from model_build.models.classifier import PlaneClassifier
from model_build.packaging.build import build_package
from model_build.recipe import Recipe
from model_build.run_dir import read_model
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.tiny_dataset import phantom
from tests.support.tiny_run import write_untrained_run

Made = tuple[Engine, PlaneClassifier]


@pytest.fixture(scope="module")
def made(phantoms: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A package of an untrained head, and the network that it was made of."""
    folder = tmp_path_factory.mktemp("sheet")
    run = write_untrained_run(folder / "run", tiny_recipe, 0, phantoms)
    build_package(run, phantoms, folder / "package", name="phantom", version="1")
    return Engine(load_package(folder / "package")), read_model(run)


def maps_of_the_logit(model: PlaneClassifier, view: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
    oracle = LayerGradCam(model.eval(), model.backbone)
    raw = oracle.attribute(torch.from_numpy(view)[None, None].float(), target=plane, relu_attributions=True)
    heat: NDArray[np.float32] = raw[0, 0].detach().numpy()
    return heat / max(float(heat.max()), 1e-12)


def test_a_case_has_the_gradient_map_of_its_own_frame_and_plane(made: Made) -> None:
    engine, model = made
    cases = [make_case(engine, model, phantom(plane, 5), plane) for plane in range(6)]
    said = [engine.score(case.view).ranked()[0] for case in cases]
    own = [maps_of_the_logit(model, case.view, plane) for case, plane in zip(cases, said, strict=True)]
    for row, case in enumerate(cases):
        near = [other for other, heat in enumerate(own) if np.allclose(case.heat, heat, atol=5e-3)]
        assert near == [row]
        least = maps_of_the_logit(model, case.view, engine.score(case.view).ranked()[-1])
        assert not np.allclose(case.heat, least, atol=5e-3)


def test_a_case_has_the_attribution_of_its_own_frame_and_plane(made: Made) -> None:
    engine, model = made
    case = make_case(engine, model, phantom(1, 5), 1)
    ranked = engine.score(case.view).ranked()
    assert np.array_equal(case.attribution, gradient_shap(model, case.view, ranked[0]))
    other = make_case(engine, model, phantom(3, 5), 3)
    for wrong in (gradient_shap(model, case.view, ranked[-1]), other.attribution):
        assert np.corrcoef(case.attribution.ravel(), wrong.ravel())[0, 1] < 0.9


def test_gradient_shap_is_what_a_pixel_adds_to_the_logit_that_was_asked_for() -> None:
    view = phantom(1, 5)[:64, :64]
    weights = torch.zeros(2, 64, 64)
    weights[0, :32], weights[1, 32:] = 1, -1

    class TwoSums(nn.Module):
        def forward(self, views: Tensor) -> Tensor:
            return torch.einsum("nchw,khw->nk", views, weights)

    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    for plane in range(2):
        found = gradient_shap(TwoSums(), view, plane)
        gain = view - blurred(view).astype(np.float32) / 2  # over the mean of black and the blurred view
        assert np.allclose(found, weights[plane].numpy() * gain, atol=4)  # the noise that is added
        assert not found[weights[plane].numpy() == 0].any()
    assert np.random.random() == expected  # whoever else draws from the global generator is not disturbed


def test_color_tells_for_from_against_and_leaves_the_rest_gray() -> None:
    view = np.full((64, 64), 100, np.uint8)
    attribution = np.zeros((64, 64), np.float32)
    attribution[:8], attribution[-8:] = 1, -1
    painted = paint_signed(view, attribution).astype(int)
    assert (painted[:8, :, 0] > painted[:8, :, 2] + 100).all()
    assert (painted[-8:, :, 2] > painted[-8:, :, 0] + 100).all()
    assert (painted[8:-8] == 100).all()


def test_the_heat_is_painted_where_it_is() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    frame, painted, _ = Case(np.full((64, 64), 60, np.uint8), "", heat, np.zeros((64, 64), np.float32)).tiles()
    changed = np.abs(painted.astype(int) - frame).sum(2)
    assert np.unravel_index(changed.argmax(), changed.shape)[0] < 16 < 48 <= changed.argmax() % 64
    assert changed[48:, :16].max() == 0


def test_a_sheet_shows_each_case_under_its_caption(made: Made) -> None:
    engine, model = made
    cases = [make_case(engine, model, phantom(plane, 5), plane) for plane in range(3)]
    source = Source("SOME_SET", "CC BY 4.0", "Somebody 2020")
    figure = draw_sheet(cases, "title", legend(engine.manifest, source))
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 9
    for number, case in enumerate(cases):
        own = shown[3 * number : 3 * number + 3]
        assert own[0].get_title("left") == case.caption
        assert PLANES[number].label in case.caption.splitlines()[0]
        for axis, picture in zip(own, case.tiles(), strict=True):
            assert np.array_equal(np.asarray(axis.images[0].get_array()), picture)
    said = figure.get_supxlabel()
    assert all(words in said for words in ("SOME_SET", "CC BY 4.0", "Somebody 2020", "Research use only", "phantom 1"))


def test_right_cases_are_one_a_patient_and_wrong_ones_the_surest() -> None:
    records = [Record(Path(), str(row // 2), row % 2, "", "test") for row in range(8)]
    probabilities = np.full((8, 6), 0.02, np.float32)
    said, sure = [0, 1, 0, 1, 1, 1, 3, 0], [0.9, 0.9, 0.9, 0.9, 0.6, 0.9, 0.8, 0.7]
    probabilities[range(8), said] = sure
    outcome = Outcome(records, probabilities, np.zeros(8, np.float32), np.zeros(8, np.bool_))
    assert choose_right(outcome, each=1) == [0, 1]
    assert choose_right(outcome) == [0, 2, 1, 3]
    assert choose_wrong(outcome) == [4, 6, 7]
    assert choose_wrong(outcome, most=2) == [6, 7]


def test_sheets_are_small_files(made: Made, phantoms: Path, tmp_path: Path) -> None:
    engine, model = made
    records = [record for record in read_records(phantoms) if record.split == "test"][:6]
    frames = load_frames(records)
    write_sheets(engine, model, frames, run_engine(engine, frames, records), Source("phantoms"), tmp_path)
    files = list(tmp_path.iterdir())
    assert "heat-wrong.jpg" in {file.name for file in files}
    assert all(file.stat().st_size < 300_000 for file in files)
