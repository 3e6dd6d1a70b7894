"""A person corrects answers on the page; the model that is trained on with them gives better ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_build.data.labels import PLANES
from service.inference.package import load_package
from tests.support.corrected_site import STRANGE, site_frame
from tests.support.images import encode
from tests.support.server_thread import serving
from tests.support.tiny_run import BuiltModel, improve
from tests.system.browser.reviews import export_corrections
from tests.system.browser.visit import Visit, upload

KNOWN = 3  # Fetal thorax


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    torch.set_num_threads(1)
    return BuiltModel.build(tmp_path_factory.mktemp("built"))


def answers(page: Visit, seeds: range) -> list[str]:
    """Return what the page says of the strange plane of patients that nobody has seen."""
    page.add(*(upload(f"new{seed}.png", encode(site_frame(STRANGE, seed))) for seed in seeds))
    page.page.click("#view-frames")
    return [page.text(f"#tiles .tile[title='new{seed}.png'] .tile-plane") for seed in seeds]


def test_corrections_on_the_page_become_a_better_model(
    built: BuiltModel, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    label = PLANES[STRANGE].label
    frames, said = {}, {}
    for patient in range(10):
        for plane in (STRANGE, KNOWN):
            name = f"patient{patient}/{plane}.png"
            frames[name] = encode(site_frame(plane, 9_000 + 10 * patient + plane))
            said[name] = str(plane + 1)
    with serving(built.package) as address:
        page = visit(address)
        assert label not in answers(page, range(50, 54))
        page.page.click("#clear")
        corrections = export_corrections(page, frames, said, tmp_path / "corrections")
    assert improve(built, corrections, tmp_path / "out") == 0
    assert load_package(tmp_path / "out" / "package").manifest.training_data.corrected_frames == 16
    with serving(tmp_path / "out" / "package") as address:
        assert answers(visit(address), range(50, 54)) == [label] * 4
