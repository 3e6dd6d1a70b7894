"""The live view, with a camera that plays drawn frames of known planes."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from tests.support.drawn_model import KINDS
from tests.support.phantom_package import PLANES
from tests.system.browser.axe import violations
from tests.system.browser.live_video import Gray, camera, frames_of, shots, write_y4m
from tests.system.browser.live_video import kind_of as kind_shown
from tests.system.browser.page_states import until
from tests.system.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

LONG_S = 300  # until something that a loaded machine may show late

Watch = Callable[..., Visit]


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Gray]]:
    return shots()


@pytest.fixture(scope="module")
def camera_browser(
    browser: "Browser", drawn: dict[str, list[Gray]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Browser"]:
    video = write_y4m(frames_of(drawn), tmp_path_factory.mktemp("video") / "exam.y4m")
    with camera(browser, video) as started:
        yield started


@pytest.fixture
def watch(camera_browser: "Browser", address: str) -> Iterator[Watch]:
    """Open the live view; with `start`, the camera runs and the first frames are classified."""
    visits: list[Visit] = []

    def begin(*, start: bool = True, **options: object) -> Visit:
        visits.append(Visit(camera_browser, address, options))
        page = visits[-1]
        page.until("document.querySelector('#formats').textContent !== ''")
        page.page.click("#start-live")
        page.until("document.querySelector('#live-device option[value^=camera]') !== null")
        if start:
            page.page.click("#live-start")
            late(page, "document.querySelector('#live-speed').textContent.includes('classified')")
        return page

    yield begin
    for each in visits:
        each.close()


def late(page: Visit, condition: str) -> None:
    until(page.page, condition, LONG_S)


def fulfilled(count: int) -> str:
    return f"document.querySelectorAll('#live-items li[data-state=fulfilled]').length === {count}"


def test_every_item_is_found_and_none_by_a_wrong_plane(watch: Watch, drawn: dict[str, list[Gray]]) -> None:
    page = watch()
    late(page, fulfilled(5))
    with page.page.expect_download() as download:
        page.page.click("#live-zip")
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["research_use_only"], manifest["protocol"]["id"]) == (True, "all-planes")
    kept = {label: frame for frame in manifest["frames"] for label in frame["kept_for"]}
    assert len(kept) == 5
    for kind, number in KINDS.items():
        label = PLANES[number].replace("_", " ").capitalize()
        picture = cv2.imdecode(np.frombuffer(archive.read(kept[label]["file"]), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert kind_shown(np.asarray(picture, np.uint8), drawn) == kind, label
        assert kept[label]["answer"]["predictions"][0]["plane"] == PLANES[number]


def test_the_end_is_an_exam_of_the_kept_frames(watch: Watch) -> None:
    page = watch()
    late(page, fulfilled(5))
    page.page.click("#live-end")
    late(page, "document.querySelector('#exam .card.answered') !== null")
    assert page.text("#exam .card-title") == "Every required item is fulfilled"
    assert page.page.evaluate("document.querySelector('#live-video').srcObject === null")
    with page.page.expect_download() as download:
        page.page.click("#report")
    report = Path(download.value.path()).read_text("utf-8")
    assert "Every required item of the protocol is fulfilled." in report
    assert "live-001-" in report


def test_a_frozen_picture_is_explained(watch: Watch) -> None:
    page = watch()
    late(page, "document.querySelector('#live-frozen').textContent.startsWith('Frozen. The heat map shows')")
    late(page, "document.querySelector('#live-frozen').textContent === ''")  # the loop goes on


def test_a_key_keeps_a_frame_and_takes_it_back(watch: Watch) -> None:
    page = watch()
    late(page, "!document.querySelector('#live-end').disabled")  # a frame of the crop was seen
    page.page.keyboard.press("k")
    page.page.keyboard.press("k")
    page.until("document.querySelector('#live-kept').textContent === 'Kept by hand: 2'")
    page.page.keyboard.press("u")
    page.until("document.querySelector('#live-kept').textContent === 'Kept by hand: 1'")
    page.page.click("#live-undo")
    page.until("document.querySelector('#live-undo').disabled")


def test_the_protocol_can_be_changed(watch: Watch) -> None:
    page = watch()
    page.page.select_option("#live-protocol-choice", "cervix")
    page.until("document.querySelectorAll('#live-items li').length === 1")
    assert page.text("#live-items li .item-state").startswith("Not seen yet")
    late(page, "/[123] of 3/.test(document.querySelector('#live-items .item-state').textContent)")


def test_a_busy_service_is_waited_for(watch: Watch) -> None:
    page = watch()

    def refuse(route: "Route") -> None:
        route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")

    page.page.route("**/classify?*", refuse)
    late(page, "document.querySelector('#live-note').textContent === 'The service is busy.'")
    page.page.unroute("**/classify?*")
    before = page.page.evaluate(
        "parseInt(document.querySelector('#live-speed').textContent.match(/(\\d+) classified/)[1])"
    )
    late(
        page,
        f"parseInt(document.querySelector('#live-speed').textContent.match(/(\\d+) classified/)[1]) > {before + 3}",
    )
    late(page, "document.querySelector('#live-note').textContent !== 'The service is busy.'")


def test_a_lost_service_is_waited_for(watch: Watch) -> None:
    page = watch()
    for path in ("**/classify?*", "**/health"):
        page.page.route(path, lambda route: route.abort())
    late(page, "document.querySelector('#live-note').textContent.startsWith('No connection')")
    for path in ("**/classify?*", "**/health"):
        page.page.unroute(path)
    late(page, "!document.querySelector('#live-note').textContent.startsWith('No connection')")
    late(page, fulfilled(5))


def test_an_unplugged_source_is_named_and_comes_back(watch: Watch) -> None:
    page = watch()
    page.page.evaluate(
        "document.querySelector('#live-video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    page.until("document.querySelector('#live-note').textContent.includes('unplugged')")
    page.until("document.querySelector('#live-plane').textContent === 'Waiting for a picture'")
    page.page.evaluate(  # something else is plugged in
        """() => {
          const { mediaDevices } = navigator;
          mediaDevices.getUserMedia = () => {
            delete mediaDevices.getUserMedia;
            return Promise.reject(new DOMException("no", "NotFoundError"));
          };
          mediaDevices.dispatchEvent(new Event("devicechange"));
        }"""
    )
    page.until("document.querySelector('#live-note').textContent === 'This source is not connected.'")
    page.page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    late(
        page, "document.querySelector('#live-note').textContent === '' && !document.querySelector('#live-stop').hidden"
    )
    late(page, fulfilled(5))


def test_a_source_that_is_asked_for_twice_runs_once(watch: Watch) -> None:
    page = watch()
    page.page.evaluate(
        """() => {
          window.streams = [];
          const ask = MediaDevices.prototype.getUserMedia;
          navigator.mediaDevices.getUserMedia = async (wanted) => {
            const stream = await ask.call(navigator.mediaDevices, wanted);
            window.streams.push(stream);
            return stream;
          };
          document.querySelector("#live-video").srcObject.getVideoTracks()[0].dispatchEvent(new Event("ended"));
          for (const name of Array(3).fill("devicechange")) navigator.mediaDevices.dispatchEvent(new Event(name));
        }"""
    )
    late(page, "!document.querySelector('#live-stop').hidden")
    live = "window.streams.filter((each) => each.getTracks().some(({ readyState }) => readyState === 'live'))"
    late(page, f"{live}.length === 1 && {live}[0] === document.querySelector('#live-video').srcObject")
    late(page, fulfilled(5))


def test_the_crop_is_corrected_by_mouse_and_keyboard(watch: Watch) -> None:
    page = watch()
    sizes: list[int] = []
    page.page.on("request", lambda request: sizes.append(len(request.post_data_buffer or b"")))
    box = page.page.locator("#live-overlay").bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=3)
    page.page.mouse.up()
    page.page.focus("#live-overlay")
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Shift+ArrowDown")
    page.page.click("#live-crop")
    late(page, fulfilled(5))


def test_a_source_that_is_refused_says_why(watch: Watch) -> None:
    page = watch(start=False)
    refuse = "Promise.reject(new DOMException('no', 'NotAllowedError'))"
    page.page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = () => {refuse}; }}")
    page.page.click("#live-start")
    page.until("document.querySelector('#live-note').textContent.includes('was not allowed')")
    assert page.page.is_visible("#live-start")


@pytest.mark.parametrize(
    ("scheme", "size", "large"),
    [
        ("light", (1280, 800), False),
        ("dark", (1280, 800), False),
        ("dark", (390, 844), False),
        ("light", (1920, 1080), True),
    ],
)
def test_axe_finds_nothing(watch: Watch, scheme: str, size: tuple[int, int], *, large: bool) -> None:
    page = watch(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    if large:
        page.page.click("#large")
    late(page, "document.querySelector('#live-items li[data-state=fulfilled]') !== null")
    page.page.click("#live-stop")
    page.until("document.querySelector('#live-stop').hidden")
    assert violations(page.page) == []
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
