"""Contact sheets show each frame with its own heat maps, of the predicted plane."""

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray

from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.labels import PLANES
from model_build.data.records import Record, Source
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evidence.contact_sheet import (
    Case,
    Explainer,
    choose_correct,
    choose_wrong,
    draw_sheet,
    legend,
    paint_signed,
    write_sheets,
)
from model_build.evidence.gradient_shap import gradient_shap
from model_build.models.classifier import PlaneClassifier
from model_build.run_dir import read_model
from service.imaging.sector import full_box
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.tiny_dataset import phantom
from tests.support.tiny_run import BuiltModel


@pytest.fixture(scope="module")
def explainer(built: BuiltModel) -> Explainer:
    return Explainer(Engine(load_package(built.package)), read_model(built.run))


def grad_cam(model: PlaneClassifier, pixels: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
    """Return Captum's Grad-CAM, scaled to a maximum of 1."""
    oracle = LayerGradCam(model.eval(), model.backbone)
    raw = oracle.attribute(torch.from_numpy(pixels)[None, None].float(), target=plane, relu_attributions=True)
    heat: NDArray[np.float32] = raw[0, 0].detach().numpy()
    return heat / max(float(heat.max()), 1e-12)


def test_a_case_has_the_grad_cam_of_its_own_frame_and_predicted_plane(explainer: Explainer) -> None:
    engine, model = explainer.engine, explainer.model
    cases = [explainer.explain(phantom(plane, 5), plane) for plane in range(6)]
    rankings = [engine.score(case.pixels).ranked() for case in cases]
    own = [grad_cam(model, case.pixels, ranked[0]) for case, ranked in zip(cases, rankings, strict=True)]
    for row, (case, ranked) in enumerate(zip(cases, rankings, strict=True)):
        assert [other for other, heat in enumerate(own) if np.allclose(case.heat, heat, atol=5e-3)] == [row]
        assert not np.allclose(case.heat, grad_cam(model, case.pixels, ranked[-1]), atol=5e-3)


def test_a_case_has_the_attribution_of_its_own_frame_and_predicted_plane(explainer: Explainer) -> None:
    case, other = explainer.explain(phantom(1, 5), 1), explainer.explain(phantom(3, 5), 3)
    ranked = explainer.engine.score(case.pixels).ranked()
    assert np.array_equal(case.attribution, gradient_shap(explainer.model, case.pixels, ranked[0]))
    for wrong in (gradient_shap(explainer.model, case.pixels, ranked[-1]), other.attribution):
        assert np.corrcoef(case.attribution.ravel(), wrong.ravel())[0, 1] < 0.9


def test_positive_attribution_is_red_negative_blue_and_the_rest_gray() -> None:
    pixels = np.full((64, 64), 100, np.uint8)
    attribution = np.zeros((64, 64), np.float32)
    attribution[:8], attribution[-8:] = 1, -1
    painted = paint_signed(pixels, attribution).astype(int)
    assert (painted[:8, :, 0] > painted[:8, :, 2] + 100).all()
    assert (painted[-8:, :, 2] > painted[-8:, :, 0] + 100).all()
    assert (painted[8:-8] == 100).all()


def test_the_heat_is_painted_in_its_place() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    pixels = np.full((64, 64), 60, np.uint8)
    frame, painted, _ = Case(pixels, full_box(pixels), 0, "", heat, np.zeros((64, 64), np.float32)).tiles()
    changed = np.abs(painted.astype(int) - frame).sum(2)
    assert np.unravel_index(changed.argmax(), changed.shape)[0] < 16 < 48 <= changed.argmax() % 64
    assert changed[48:, :16].max() == 0


def test_a_sheet_shows_each_case_under_its_caption(explainer: Explainer) -> None:
    cases = [explainer.explain(phantom(plane, 5), plane) for plane in range(3)]
    source = Source("SOME_SET", "CC BY 4.0", "Somebody 2020")
    figure = draw_sheet(cases, "title", legend(explainer.engine.manifest, source))
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 9
    for number, case in enumerate(cases):
        own = shown[3 * number : 3 * number + 3]
        assert own[0].get_title("left") == case.caption
        assert PLANES[number].label in case.caption.splitlines()[0]
        for axis, picture in zip(own, case.tiles(), strict=True):
            assert np.array_equal(np.asarray(axis.images[0].get_array()), picture)
    text = figure.get_supxlabel()
    words = ("SOME_SET", "CC BY 4.0", "Somebody 2020", "Research use only", "phantoms 9.9")
    assert all(word in text for word in words)


def test_correct_cases_are_one_per_patient_and_wrong_ones_the_most_confident() -> None:
    records = [Record(Path(), str(row // 2), row % 2, "", "test") for row in range(8)]
    probabilities = np.full((8, 6), 0.02, np.float32)
    predicted, confidence = [0, 1, 0, 1, 1, 1, 3, 0], [0.9, 0.9, 0.9, 0.9, 0.6, 0.9, 0.8, 0.7]
    probabilities[range(8), predicted] = confidence
    predictions = Predictions(records, probabilities, np.zeros(8, np.bool_), PLANES)
    assert choose_correct(predictions, per_plane=1) == [0, 1]
    assert choose_correct(predictions) == [0, 2, 1, 3]
    assert choose_wrong(predictions) == [4, 6, 7]
    assert choose_wrong(predictions, most=2) == [6, 7]


def test_sheets_are_small_files(explainer: Explainer, phantoms: Path, tmp_path: Path) -> None:
    records = read_data(phantoms).side("test")[:6]
    frames = load_frames(records)
    predictions = classify_frames(explainer.engine, frames, records)
    write_sheets(explainer, frames, predictions, Source("phantoms"), tmp_path)
    files = list(tmp_path.iterdir())
    assert files
    assert all(file.stat().st_size < 300_000 for file in files)
