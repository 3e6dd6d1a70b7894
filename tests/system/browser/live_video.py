"""A video of drawn frames with known planes, for Chromium's fake camera, and a Chromium that reads it."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.sector import find_sector
from service.sample.frames import draw_frame
from tests.support.drawn_model import KINDS, UNSURE
from tests.system.browser.browser import FLAGS
from tests.system.browser.page_states import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Gray = NDArray[np.uint8]

FPS = 10
_HEIGHT, _WIDTH = 300, 400
_STEPS = 6  # drawn frames per shot: the anatomy drifts under the probe
_REPEATS = 8  # of each in the video; the probe trembles, so that they do not look frozen
_FROZEN = 25  # frames at the end that are the same


def shots() -> dict[str, list[Gray]]:
    """Return some drawn frames of each plane, by kind."""
    return {
        kind: [draw_frame(kind, height=_HEIGHT, width=_WIDTH, seed=1, step=step) for step in range(_STEPS)]
        for kind in KINDS
    }


def frames_of(drawn: dict[str, list[Gray]], repeats: int = _REPEATS) -> Iterator[Gray]:
    """Yield the frames of the video: shots with cuts, an unsure view between them, and a frozen end."""
    unsure = draw_frame(UNSURE[0], height=_HEIGHT, width=_WIDTH, seed=UNSURE[1])
    for frames in drawn.values():
        yield from (np.roll(frame, 3 * (turn % 2), axis=1) for frame in frames for turn in range(repeats))
        yield from [unsure] * 3
        yield from [np.zeros_like(unsure)] * 2
    yield from [drawn["brain"][0]] * _FROZEN


def write_y4m(frames: Iterable[Gray], path: Path, fps: int = FPS) -> Path:
    """Write gray frames [H, W] as YUV4MPEG2, 4:2:0, limited range."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{_WIDTH} H{_HEIGHT} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        neutral = bytes([128]) * (_WIDTH * _HEIGHT // 2)
        for frame in frames:
            luma = np.round(16 + frame.astype(np.float32) * (219 / 255)).astype(np.uint8)
            file.write(b"FRAME\n" + luma.tobytes() + neutral)
    return path


def write_webm(frames: Iterable[Gray], path: Path) -> Path:
    """Write gray frames [H, W] as a video that Chromium plays."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), FPS, (_WIDTH, _HEIGHT))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@contextmanager
def screen(browser: "Browser", title: str) -> Iterator["Browser"]:
    """Start another Chromium that shares the tab with this title when a page asks for a window or the screen."""
    flags = [*FLAGS, f"--auto-select-tab-capture-source-by-title={title}"]
    started = browser.browser_type.launch(executable_path=shutil.which("chromium"), headless=True, args=flags)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def camera(browser: "Browser", video: Path) -> Iterator["Browser"]:
    """Start another Chromium whose camera plays the video, again and again."""
    flags = [
        *FLAGS,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
        "--autoplay-policy=no-user-gesture-required",
        "--enable-precise-memory-info",
    ]
    started = browser.browser_type.launch(executable_path=shutil.which("chromium"), headless=True, args=flags)
    try:
        yield started
    finally:
        started.close()


def kind_of(picture: Gray, drawn: dict[str, list[Gray]]) -> str:
    """Return the kind of the frame that a crop resembles most: in its own box, or in one of another kind."""
    others = [find_sector(frames[0]) for frames in drawn.values()]

    def small(frame: Gray) -> NDArray[np.float32]:
        values = cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
        centered = values - values.mean()
        return np.asarray(centered / np.linalg.norm(centered), np.float32)

    wanted = small(picture)
    scores = {
        kind: max(
            float((wanted * small(box.cut(frame))).sum()) for frame in frames for box in (find_sector(frame), *others)
        )
        for kind, frames in drawn.items()
    }
    return max(scores, key=lambda kind: scores[kind])


def watch(page: "Page") -> None:
    """Start the camera in the live view."""
    until(page, "document.querySelector('#formats').textContent !== ''")
    page.click("#start-live")
    until(page, "document.querySelector('#live-device option[value^=camera]') !== null")
    page.click("#live-start")


def live(page: "Page") -> None:
    """Watch until three items are fulfilled and a plane is named."""
    watch(page)
    until(page, "document.querySelectorAll('#live-items li[data-state=fulfilled]').length >= 3", 300)
    until(page, "document.querySelector('#live-state').dataset.kind === 'answered'", 300)
    # The name of the fake camera is a path.
    page.evaluate("document.querySelector('#live-device').selectedOptions[0].textContent = 'HDMI grabber'")
