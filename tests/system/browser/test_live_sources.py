"""The live view on a window and on a video file, in a hidden tab, and with a service that is restarted."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from bench.servers import free_port, start_service, stop, wait_until_ready
from tests.support.phantom_package import Phantom
from tests.system.browser.live_video import Gray, frames_of, screen, shots, write_webm
from tests.system.browser.page_states import until
from tests.system.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG_S = 300  # until something that a loaded machine may show late
TITLE = "The monitor of a scanner"
MONITOR = """async ([title, pictures]) => {
  document.title = title;
  document.body.style = "margin: 0; background: black";
  document.body.replaceChildren(document.createElement("canvas"));
  const canvas = Object.assign(document.querySelector("canvas"), { width: 800, height: 600 });
  const images = await Promise.all(pictures.map(async (data) => {
    const image = Object.assign(new Image(), { src: `data:image/png;base64,${data}` });
    await image.decode();
    return image;
  }));
  let shown = 0;
  setInterval(() => {
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, 800, 600);
    context.drawImage(images[Math.floor(shown / 8) % images.length], 3 * (shown % 2), 0, 800, 600);
    shown += 1;
  }, 100);
}"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Gray]]:
    return shots()


@pytest.fixture(scope="module")
def clip(drawn: dict[str, list[Gray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_webm(frames_of(drawn), tmp_path_factory.mktemp("video") / "exam.webm")


@pytest.fixture(scope="module")
def sharing(browser: "Browser") -> Iterator["Browser"]:
    with screen(browser, TITLE) as started:
        yield started


def late(page: Visit, condition: str) -> None:
    until(page.page, condition, LONG_S)


def fulfilled(count: int) -> str:
    return f"document.querySelectorAll('#live-items li[data-state=fulfilled]').length === {count}"


def classified(page: Visit) -> int:
    return int(page.page.evaluate(CLASSIFIED))


CLASSIFIED = "parseInt(document.querySelector('#live-speed').textContent.match(/(\\d+) classified/)?.[1] ?? 0)"


def open_live(browser: "Browser", address: str) -> Visit:
    page = Visit(browser, address, {})
    page.until("document.querySelector('#formats').textContent !== ''")
    page.page.click("#start-live")
    page.until("document.querySelector('#live-device option[value=file]') !== null")
    return page


def play(page: Visit, clip: Path, *, loop: bool = True) -> None:
    """Choose a video file as a person does; it begins again at its end."""
    page.page.evaluate(f"document.querySelector('#live-video').loop = {str(loop).lower()}")
    page.page.select_option("#live-device", "file")
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#live-start")
    chooser.value.set_files(clip)
    late(page, f"{CLASSIFIED} > 0")


def test_a_video_file_fills_the_protocol_and_ends(browser: "Browser", address: str, clip: Path) -> None:
    page = open_live(browser, address)
    play(page, clip)
    late(page, fulfilled(5))
    page.page.evaluate("document.querySelector('#live-video').loop = false")
    late(page, "document.querySelector('#live-note').textContent === 'The video has ended.'")
    page.until("document.querySelector('#live-plane').textContent === 'Waiting for a picture'")
    assert page.page.is_visible("#live-start")
    page.page.click("#live-end")
    late(page, "document.querySelector('#exam .card.answered') !== null")
    page.close()


def test_a_file_that_is_no_video_is_refused_in_words(browser: "Browser", address: str, tmp_path: Path) -> None:
    (tmp_path / "exam.mp4").write_bytes(b"no video")
    page = open_live(browser, address)
    page.page.select_option("#live-device", "file")
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#live-start")
    chooser.value.set_files(tmp_path / "exam.mp4")
    page.until("document.querySelector('#live-note').textContent === 'The browser cannot play this source.'")
    assert page.page.is_visible("#live-start")
    page.close()


def test_a_window_is_watched_until_sharing_ends(sharing: "Browser", address: str, drawn: dict[str, list[Gray]]) -> None:
    page = open_live(sharing, address)
    monitor = page.context.new_page()
    pictures = [
        base64.b64encode(cv2.imencode(".png", each)[1].tobytes()).decode() for kind in drawn.values() for each in kind
    ]
    monitor.evaluate(MONITOR, [TITLE, pictures])
    page.page.select_option("#live-device", "screen")
    page.page.click("#live-start")
    late(page, fulfilled(5))
    monitor.close()
    late(page, "document.querySelector('#live-note').textContent.startsWith('The source is gone')")
    assert "starts again" not in page.text("#live-note")
    page.page.click("#live-end")
    late(page, "document.querySelector('#exam .card.answered') !== null")
    page.close()


def test_a_tab_that_slept_goes_on(browser: "Browser", address: str, clip: Path) -> None:
    """Chromium freezes a hidden tab, and a computer that sleeps freezes all."""
    page = open_live(browser, address)
    play(page, clip)
    session = page.context.new_cdp_session(page.page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(4)  # longer than the gap that no average may reach across
    session.send("Page.setWebLifecycleState", {"state": "active"})
    before = classified(page)
    late(page, f"{CLASSIFIED} > {before + 5}")
    late(page, fulfilled(5))
    page.close()


def test_a_service_that_is_restarted_is_found_again(
    browser: "Browser", drawn_model: Phantom, clip: Path, tmp_path: Path
) -> None:
    model, port = drawn_model.write(tmp_path / "model"), free_port()
    url = f"http://127.0.0.1:{port}"
    with start_service(model, port) as process:
        wait_until_ready(url, process)
        page = open_live(browser, url)
        play(page, clip)
        stop(process)
    late(page, "document.querySelector('#live-note').textContent.startsWith('No connection')")
    before = classified(page)
    with start_service(model, port) as process:
        try:
            late(page, f"{CLASSIFIED} > {before + 5}")
            late(page, "document.querySelector('#live-note').textContent === ''")
            late(page, fulfilled(5))
        finally:
            page.close()
            stop(process)
