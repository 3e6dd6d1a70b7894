"""Files with many frames: scrubber, strip, best frames, and the upload that classifies them all."""

import json
from collections.abc import Callable
from typing import ClassVar

import httpx2 as httpx
import numpy as np
import pytest

from service.analysis.text import percent
from service.sample.frames import draw_frame
from tests.support.dicom_objects import native
from tests.support.images import animation
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


class TestCine:
    frames: ClassVar = [
        draw_frame(kind, height=240, width=320, seed=seed) for kind in ("brain", "femur") for seed in (0, 1, 2)
    ]

    @pytest.fixture(params=["TIFF", "WEBP"])
    def content(self, request: pytest.FixtureRequest) -> bytes:
        return animation(request.param, self.frames, **({"lossless": True} if request.param == "WEBP" else {}))

    def test_the_scrubber_shows_each_frame(self, visit: Visits, content: bytes) -> None:
        page = visit()
        page.add(upload("cine", content))
        page.slide("#opacity", 0)
        for index in (0, 4, 2):
            page.slide("#scrubber", index)
            page.until(f"document.querySelector('.tile-name').textContent === 'cine · {index + 1}/6'")
            page.settle()
            assert ("Fetal brain" if index < 3 else "Fetal femur") in page.text("#verdict")
            assert np.abs(page.picture()[..., 0].astype(int) - self.frames[index]).mean() < 2  # a JPEG came
        assert page.text("output[for=scrubber]") == "3 / 6"

    def test_all_frames_can_be_classified_and_the_best_opened(
        self, visit: Visits, address: str, content: bytes
    ) -> None:
        page = visit()
        page.add(upload("cine", content))
        page.page.click("text=Classify every frame")
        page.settle()
        assert page.page.locator(".strip-names span").count() == 6
        lines = httpx.post(f"{address}/classify/batch", content=content, timeout=30).text.splitlines()
        (cine,) = json.loads(lines[-1])["summary"]["cines"]
        best = page.page.locator(".best button")
        assert best.all_inner_texts() == [
            f"{each['label']}, frame {each['frame'] + 1} ({percent(each['probability'])})" for each in cine["best"]
        ]
        femur = cine["best"][1]["frame"]
        assert f"to {cine['segments'][0]['end'] + 1}: Fetal brain." in page.text("#cine .muted")
        asked = [request.url.split("/", 3)[3] for request in page.requests if "classify" in request.url]
        assert [each.split("&patient_salt=")[0] for each in asked] == ["classify?frame=0&top=6", "classify/batch?top=6"]
        best.nth(1).click()
        page.until(f"document.querySelector('.tile-name').textContent === 'cine · {femur + 1}/6'")
        page.settle()
        assert cine["best"][1]["label"] in page.text("#verdict")


class TestCineInOneUpload:
    def line(self, index: int) -> dict[str, object]:
        frame = {"format": "tiff", "width": 560, "height": 420, "index": index, "count": 3, "crop": [0, 0, 560, 404]}
        predictions = [{"plane": "fetal_femur", "label": "Fetal femur", "probability": 0.9}]
        model = {"name": "m", "version": "1", "sha256": "0" * 64}
        answer = {"predictions": predictions, "abstain": False, "abstain_reason": None, "frame": frame, "model": model}
        return answer | {"request_id": "r", "source": {"file": 0, "name": None, "frame": index}}

    def read(self, visit: Visits, body: str) -> Visit:
        page = visit()
        page.add(upload("cine.tiff", animation("TIFF", [draw_frame("brain", seed=seed) for seed in range(3)])))
        page.page.route("**/classify/batch?*", lambda route: route.fulfill(body=body))
        page.page.click("text=Classify every frame")
        page.settle()
        page.slide("#scrubber", 2)
        page.until("document.querySelector('.tile-name').textContent === 'cine.tiff · 3/3'")
        page.settle()
        return page

    def test_a_damaged_frame_does_not_affect_others(self, visit: Visits) -> None:
        problem = {"title": "Unreadable frame", "detail": "It is damaged.", "code": "unreadable-frame", "status": 422}
        lines = [self.line(0), self.line(1), problem | {"source": {"file": 0, "name": None, "frame": 2}}]
        page = self.read(visit, "".join(json.dumps(line) + "\n" for line in lines))
        assert page.text("#verdict") == "! Unreadable frame It is damaged."
        page.page.click("[aria-label='Previous frame']")
        page.until("document.querySelector('.tile-name').textContent === 'cine.tiff · 2/3'")
        assert "Fetal femur" in page.text("#verdict")

    def test_the_strip_shows_no_guess_for_a_frame_unlike_the_training_frames(self, visit: Visits) -> None:
        unknown = self.line(1) | {"abstain": True, "abstain_reason": "out-of-distribution"}
        page = self.read(visit, "".join(json.dumps(line) + "\n" for line in (self.line(0), unknown, self.line(2))))
        opaque = page.page.evaluate(
            """() => {
              const strip = document.querySelector(".strip canvas");
              const { data } = strip.getContext("2d").getImageData(0, 0, strip.width, strip.height);
              const most = [0, 0, 0];
              for (let at = 0; at < data.length / 4; at += 1) {
                const frame = Math.floor(((at % strip.width) / strip.width) * 3);
                most[frame] = Math.max(most[frame], data[4 * at + 3]);
              }
              return most;
            }"""
        )
        assert opaque[1] < 100 < min(opaque[0], opaque[2])

    def test_a_reply_that_ends_early_is_reported_and_can_be_retried(self, visit: Visits) -> None:
        page = self.read(visit, json.dumps(self.line(1)) + "\n" + '{"predictions"')
        assert page.text("#verdict").startswith("! Not classified")
        page.page.click("text=Try again")
        page.settle()
        assert "Fetal brain" in page.text("#verdict")


def test_several_pictures_of_a_cine_come_with_one_upload(visit: Visits) -> None:
    frames = [draw_frame("brain", height=120, width=160, seed=seed) for seed in range(12)]
    page = visit()
    page.add(upload("cine.tiff", animation("TIFF", frames)))
    for index in range(1, 12):
        page.slide("#scrubber", index)
        page.until(f"document.querySelector('.tile-name').textContent === 'cine.tiff · {index + 1}/12'")
        page.settle()
        shown = page.picture().max(2)
        assert shown.shape == (120, 160)
    assert sum("/frame?" in request.url for request in page.requests) <= 3


def test_a_dicom_cine_is_classified_and_shown(visit: Visits) -> None:
    frames = [draw_frame(kind, height=120, width=160, seed=0) for kind in ("brain", "brain", "femur")]
    page = visit()
    page.add(upload("IM_0001", native(frames)))
    assert "DICOM · 3 frames" in page.text("#viewer-size")
    page.slide("#opacity", 0)
    page.slide("#scrubber", 2)
    page.until("document.querySelector('.tile-name').textContent === 'IM_0001 · 3/3'")
    page.settle()
    assert abs(page.picture()[..., 0].astype(int) - frames[2]).mean() < 3
