"""A frame goes in, and the answer, the picture and the evidence are those of the service."""

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support.drawn_frames import scan
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


def service_overlay(address: str, content: bytes, **query: Any) -> NDArray[np.uint8]:
    reply = httpx.post(f"{address}/explain", params=query, content=content, headers={"accept": "image/png"})
    picture = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.uint8)


def assert_same_picture(found: NDArray[np.uint8], wanted: NDArray[np.uint8], gray_levels: int = 6) -> None:
    assert found.shape == wanted.shape
    difference = np.abs(found.astype(int) - wanted)
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.5) <= gray_levels


def labelled(phantom: Phantom, pixels: NDArray[np.uint8]) -> list[tuple[str, float]]:
    prepared, _ = crop_and_letterbox(pixels, Preprocessing(size=phantom.size, crop=phantom.crop))  # type: ignore[arg-type]
    named = zip(phantom.planes, phantom.probabilities(prepared).tolist(), strict=True)
    return sorted(((name.replace("_", " ").capitalize(), p) for name, p in named), key=lambda pair: -pair[1])


def shown(probability: float) -> str:
    """As the page writes a probability: never as a certainty."""
    if probability < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if probability > 0.999 else f"{probability * 100:.1f} %"


def test_the_answer_and_every_probability(visit: Visits, artist: Phantom) -> None:
    pixels = scan("head", seed=0)
    page = visit()
    page.add(upload("head.png", encode(pixels)))
    truth = labelled(artist, pixels)
    assert truth[0][0] == "Fetal brain"
    assert page.text("#verdict").startswith(f"✓ Fetal brain {truth[0][1] * 100:.1f} %")
    assert f"Next: {truth[1][0]}" in page.text("#verdict")
    rows = page.page.locator(".row label").all_inner_texts()
    assert len(rows) == len(artist.planes)
    for row, (label, probability) in zip(rows, truth, strict=True):
        assert row.split("\n") == [label, shown(probability)]
    assert page.tiles() == [f"Fetal brain {truth[0][1] * 100:.1f} % head.png"]


@pytest.mark.parametrize("shape", [(420, 560), (300, 170), (200, 201)])
def test_the_overlay_is_the_service_s_own(visit: Visits, address: str, shape: tuple[int, int]) -> None:
    content = encode(scan("belly", height=shape[0], width=shape[1], seed=1))
    page = visit()
    page.add(upload("belly.png", content))
    assert_same_picture(page.picture(), service_overlay(address, content))


def test_the_evidence_of_any_plane_can_be_seen(visit: Visits, address: str, artist: Phantom) -> None:
    content = encode(scan("head", seed=0))
    page = visit()
    page.add(upload("head.png", content))
    for plane in artist.planes:
        page.page.check(f"#target-{plane}")
        page.settle()
        label = plane.replace("_", " ").capitalize()
        assert label in page.text("#evidence")
        assert_same_picture(page.picture(), service_overlay(address, content, target=plane))


def test_no_evidence_is_said_and_not_painted(visit: Visits, serve: Callable[[Phantom], str]) -> None:
    phantom = Phantom()
    phantom.head = -np.abs(phantom.head)
    pixels = speckle(90, 120)
    page = visit(serve(phantom))
    page.add(upload("gray.png", encode(pixels)))
    assert page.text("#evidence").startswith("Nothing in this frame speaks for")
    np.testing.assert_array_equal(page.picture()[..., 0], pixels)


def test_the_slider_takes_the_heat_from_nothing_to_all(visit: Visits) -> None:
    pixels = scan("head", seed=0)
    page = visit()
    page.add(upload("head.png", encode(pixels)))
    page.slide("#opacity", 0)
    np.testing.assert_array_equal(page.picture(), np.dstack([pixels] * 3))
    changes = []
    for value in (20, 60, 100):
        page.slide("#opacity", value)
        assert page.text("#opacity-value") == f"{value} %"
        changes.append(np.abs(page.picture().astype(int) - pixels[..., None]).mean())
    assert 0 < changes[0] < changes[1] < changes[2]


def test_the_outline_shows_what_the_model_saw(visit: Visits) -> None:
    pixels = np.zeros((300, 400), np.uint8)
    pixels[50:250, 100:300] = 40 + speckle(200, 200) // 2
    page = visit()
    page.add(upload("small.png", encode(pixels)))
    page.slide("#opacity", 0)
    page.page.check("#outline")
    page.settle()
    painted = (page.picture()[..., 0] != pixels).nonzero()
    left, right = int(re.findall(r"from (\d+)", page.text("#details"))[0]), painted[1].max()
    assert abs(painted[1].min() - left) <= 3
    assert 285 < right < 320


def test_a_format_that_browsers_cannot_read_is_shown_all_the_same(visit: Visits, address: str) -> None:
    content = encode(scan("femur", seed=2), "TIFF")
    page = visit()
    page.add(upload("femur.tif", content))
    assert "Fetal femur" in page.text("#verdict")
    assert_same_picture(page.picture(), service_overlay(address, content), 10)  # the frame came as a JPEG
    assert page.page.evaluate("document.querySelector('.thumb').drawn !== undefined")


class TestAbstention:
    def test_uncertain(self, visit: Visits, serve: Callable[[Phantom], str]) -> None:
        page = visit(serve(Phantom(min_probability=0.995)))
        page.add(upload("gray.png", encode(speckle())))
        assert page.text("#verdict").startswith("? Not sure No plane is probable enough.")
        assert "it answers from 99.5 %" in page.text("#verdict")
        assert page.tiles()[0].startswith("Not sure")
        assert page.page.locator(".row").count() == 6

    def test_unfamiliar(self, visit: Visits, serve: Callable[[Phantom], str]) -> None:
        page = visit(serve(Phantom(max_ood_score=0.0)))
        page.add(upload("gray.png", encode(speckle())))
        assert "Not sure The frame is unlike those that the model was trained on" in page.text("#verdict")


@pytest.mark.parametrize("planes", [("dark", "bright"), tuple(f"plane_{n}" for n in range(17))])
def test_any_number_of_planes(visit: Visits, serve: Callable[[Phantom], str], planes: tuple[str, ...]) -> None:
    phantom, pixels = Phantom(planes=planes), speckle()
    page = visit(serve(phantom))
    page.add(upload("gray.png", encode(pixels)))
    assert [row.split("\n")[0] for row in page.page.locator(".row label").all_inner_texts()] == [
        label for label, _ in labelled(phantom, pixels)
    ]
    page.page.click("#view-exam")
    assert page.page.locator(".expected input").count() == len(planes)
    assert f"{len(planes)} classes" in page.text("#model")


class TestCine:
    frames: ClassVar = [
        scan(kind, height=240, width=320, seed=seed) for kind in ("head", "femur") for seed in (0, 1, 2)
    ]

    @pytest.fixture(params=["TIFF", "WEBP"])
    def content(self, request: pytest.FixtureRequest) -> bytes:
        return animation(request.param, self.frames, **({"lossless": True} if request.param == "WEBP" else {}))

    def test_the_scrubber_shows_each_frame(self, visit: Visits, content: bytes) -> None:
        page = visit()
        page.add(upload("loop", content))
        page.slide("#opacity", 0)
        for index in (0, 4, 2):
            page.slide("#scrubber", index)
            page.until(f"document.querySelector('.tile-name').textContent === 'loop · {index + 1}/6'")
            page.settle()
            assert ("Fetal brain" if index < 3 else "Fetal femur") in page.text("#verdict")
            assert np.abs(page.picture()[..., 0].astype(int) - self.frames[index]).mean() < 2  # a JPEG came
        assert page.text("output[for=scrubber]") == "3 / 6"

    def test_every_frame_can_be_read_and_the_best_be_gone_to(self, visit: Visits, address: str, content: bytes) -> None:
        page = visit()
        page.add(upload("loop", content))
        page.page.click("text=Read every frame")
        page.settle()
        assert page.page.locator(".strip-names span").count() == 6
        lines = httpx.post(f"{address}/classify/batch", content=content, timeout=30).text.splitlines()
        (cine,) = json.loads(lines[-1])["summary"]["cines"]
        best = page.page.locator(".best button")
        assert best.all_inner_texts() == [
            f"{each['label']}, frame {each['frame'] + 1} ({shown(each['probability'])})" for each in cine["best"]
        ]
        femur = cine["best"][1]["frame"]
        assert f"to {cine['segments'][0]['end'] + 1}: Fetal brain." in page.text("#cine .muted")
        assert [request.url.split("/", 3)[3] for request in page.requests if "classify" in request.url] == [
            "classify?frame=0&top=6", "classify/batch?top=6"
        ]  # fmt: skip
        best.nth(1).click()
        page.until(f"document.querySelector('.tile-name').textContent === 'loop · {femur + 1}/6'")
        page.settle()
        assert cine["best"][1]["label"] in page.text("#verdict")
