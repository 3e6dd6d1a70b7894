"""One frame: its answer, picture and heat map equal the service's."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from service.analysis.text import percent
from service.sample.frames import draw_frame
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.system.browser.expected import assert_same_picture, expected_predictions, explained, service_overlay
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


def test_the_answer_and_every_probability(visit: Visits, drawn_model: Phantom) -> None:
    pixels = draw_frame("brain", seed=0)
    page = visit()
    page.add(upload("brain.png", encode(pixels)))
    truth = expected_predictions(drawn_model, pixels)
    assert truth[0][0] == "Fetal brain"
    assert page.text("#verdict").startswith(f"✓ Fetal brain {truth[0][1] * 100:.1f} %")
    assert f"Next: {truth[1][0]}" in page.text("#verdict")
    rows = page.page.locator(".row label").all_inner_texts()
    assert len(rows) == len(drawn_model.planes)
    for row, (label, probability) in zip(rows, truth, strict=True):
        assert row.split("\n") == [label, percent(probability)]
    assert page.tiles() == [f"Fetal brain {truth[0][1] * 100:.1f} % brain.png"]


@pytest.mark.parametrize("shape", [(420, 560), (300, 170), (200, 201)])
def test_the_overlay_equals_the_service_s(visit: Visits, address: str, shape: tuple[int, int]) -> None:
    content = encode(draw_frame("abdomen", height=shape[0], width=shape[1], seed=1))
    page = visit()
    page.add(upload("abdomen.png", content))
    assert_same_picture(page.picture(), service_overlay(address, content))


def test_the_heat_map_of_every_plane_can_be_shown(visit: Visits, address: str, drawn_model: Phantom) -> None:
    content = png("brain", 0)
    page = visit()
    page.add(upload("brain.png", content))
    peaks = {plane: explained(address, content, target=plane)["raw_max"] for plane in drawn_model.planes}
    weak = []
    for plane in drawn_model.planes:
        page.page.check(f"#target-{plane}")
        page.settle()
        label = plane.replace("_", " ").capitalize()
        assert label in page.text("#evidence")
        strength = min(1.0, peaks[plane] / peaks["fetal_brain"])  # the most probable plane has full strength
        full = service_overlay(address, content, target=plane).astype(float)
        gray = draw_frame("brain", seed=0)[..., None]
        assert_same_picture(page.picture(), np.asarray(gray + strength * (full - gray), np.uint8))
        if page.text("#evidence").startswith("Weak evidence"):
            weak.append(plane)
        assert "peak" not in page.text("#evidence")
    assert weak == [plane for plane in drawn_model.planes if 0 < peaks[plane] < 0.5 * peaks["fetal_brain"]]


def test_an_empty_heat_map_is_stated_and_not_painted(visit: Visits, serve: Callable[[Phantom], str]) -> None:
    phantom = Phantom()
    phantom.head = -np.abs(phantom.head)
    pixels = speckle(90, 120)
    page = visit(serve(phantom))
    page.add(upload("gray.png", encode(pixels)))
    assert page.text("#evidence").startswith("No evidence for")
    np.testing.assert_array_equal(page.picture()[..., 0], pixels)


def test_the_slider_sets_the_heat_map_s_opacity(visit: Visits) -> None:
    pixels = draw_frame("brain", seed=0)
    page = visit()
    page.add(upload("brain.png", encode(pixels)))
    page.slide("#opacity", 0)
    np.testing.assert_array_equal(page.picture(), np.dstack([pixels] * 3))
    changes = []
    for value in (20, 60, 100):
        page.slide("#opacity", value)
        assert page.text("#opacity-value") == f"{value} %"
        changes.append(np.abs(page.picture().astype(int) - pixels[..., None]).mean())
    assert 0 < changes[0] < changes[1] < changes[2]


def test_the_outline_shows_the_input_region(visit: Visits) -> None:
    pixels = np.zeros((300, 400), np.uint8)
    pixels[50:250, 100:300] = 40 + speckle(200, 200) // 2
    page = visit()
    page.add(upload("small.png", encode(pixels)))
    page.slide("#opacity", 0)
    page.page.check("#outline")
    page.settle()
    painted = (page.picture()[..., 0] != pixels).nonzero()
    left, right = (
        int(re.findall(r"from (\d+)", page.page.locator("#details").text_content() or "")[0]),
        painted[1].max(),
    )
    assert abs(painted[1].min() - left) <= 3
    assert 285 < right < 320


def test_a_format_unknown_to_browsers_is_shown(visit: Visits, address: str) -> None:
    content = encode(draw_frame("femur", seed=2), "TIFF")
    page = visit()
    page.add(upload("femur.tif", content))
    assert "Fetal femur" in page.text("#verdict")
    assert_same_picture(page.picture(), service_overlay(address, content), 10)  # the frame came as a JPEG
    assert page.page.evaluate("document.querySelector('.thumb').drawn !== undefined")


class TestAbstention:
    def test_uncertain(self, visit: Visits, serve: Callable[[Phantom], str]) -> None:
        page = visit(serve(Phantom(min_probability=0.995)))
        page.add(upload("gray.png", encode(speckle())))
        assert page.text("#verdict").startswith("? Between two planes No plane is probable enough:")
        assert "the threshold is 99.5 %" in page.text("#verdict")
        assert page.tiles()[0].startswith("Between two planes")
        assert page.page.locator(".row").count() == 6

    def test_out_of_distribution(self, visit: Visits, serve: Callable[[Phantom], str]) -> None:
        page = visit(serve(Phantom(max_ood_score=0.0)))
        page.add(upload("gray.png", encode(speckle())))
        assert page.text("#verdict").startswith("? Unknown view The frame shows too little of any plane")
        assert page.tiles()[0] == "Unknown view gray.png"
        assert page.page.locator("#planes").is_hidden()
        assert "%" not in page.text(".answer")
        page.page.click("text=Show the probabilities anyway")
        page.settle()
        assert page.page.locator(".row").count() == 6


@pytest.mark.parametrize("planes", [("dark", "bright"), tuple(f"plane_{n}" for n in range(17))])
def test_any_number_of_planes(visit: Visits, serve: Callable[[Phantom], str], planes: tuple[str, ...]) -> None:
    phantom, pixels = Phantom(planes=planes), speckle()
    page = visit(serve(phantom))
    page.add(upload("gray.png", encode(pixels)))
    assert [row.split("\n")[0] for row in page.page.locator(".row label").all_inner_texts()] == [
        label for label, _ in expected_predictions(phantom, pixels)
    ]
    page.page.click("#view-exam")
    assert page.page.locator("#exam .checklist li").count() == len(planes)
    assert f"{len(planes)} classes" in page.text("#model")
