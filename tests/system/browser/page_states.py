"""The states of the page that tests check and screenshots show: how to enter each, with drawn frames only."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from service.sample.frames import draw_frame
from tests.support.drawn_model import UNSURE
from tests.support.images import animation, encode

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Upload(TypedDict):
    """A file in Playwright's form."""

    name: str
    mimeType: str
    buffer: bytes


class PageState(NamedTuple):
    """How the page enters a state, with the color scheme and window size of its screenshot."""

    enter: Callable[["Page"], None]
    color_scheme: str = "light"
    size: tuple[int, int] = (1280, 800)


def upload(name: str, content: bytes) -> Upload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def png(kind: str = "brain", seed: int = 0) -> bytes:
    """Return a drawn frame as a PNG file."""
    return encode(draw_frame(kind, seed=seed))


def _cine_frames() -> list[NDArray[np.uint8]]:
    """Return eight small frames of each of three shots; the anatomy drifts slowly under the probe."""
    shots = [(kind, step) for kind in ("brain", "abdomen", "femur") for step in range(8)]
    return [draw_frame(kind, height=240, width=320, seed=1, step=step) for kind, step in shots]


def until(page: "Page", condition: str, seconds: float = 60) -> None:
    """Wait until a JavaScript expression is true.

    Playwright's own wait evaluates text as code, which the page's Content-Security-Policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        time.sleep(0.03)


def rendered(page: "Page") -> None:
    """Wait until the page has seen every change of its surroundings, and has drawn what its scripts asked for.

    A change of the window or of the color scheme reaches scripts with the next frame that the browser draws.
    """
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")


def settle(page: "Page") -> None:
    """Wait until all frames are classified and the selected frame is shown."""
    until(page, "!document.querySelector('.tile[data-kind=waiting], .tile[data-kind=running], #picture.stale')")
    until(page, "document.querySelector('#progress').hidden")
    page.wait_for_timeout(300)


def _exam_files() -> list[Upload]:
    """Return an exam without a cervix, with frames that the model is unsure of and one file that is not a frame."""
    shown = [
        ("brain", 0), ("brain", 3), ("abdomen", 1), UNSURE, ("femur", 2), ("thorax", 4), ("abdomen", 4),
        ("femur", 3), ("thorax", 8), ("brain", 7), ("thorax", 32), ("abdomen", 8), ("femur", 9), ("thorax", 52),
    ]  # fmt: skip
    frames = [
        upload(f"exam_{number:02}.png", encode(draw_frame(kind, height=600, width=800, seed=seed)))
        for number, (kind, seed) in enumerate(shown, 1)
    ]
    return [*frames, upload("report.txt", b"Not a frame, but a text from the same folder.")]


def _add(page: "Page", *uploads: Upload) -> None:
    page.set_input_files("#files", list(uploads))
    settle(page)


def empty(page: "Page") -> None:
    until(page, "document.querySelector('#formats').textContent !== ''")


def _answer(page: "Page") -> None:
    _exam(page)
    page.click("#view-frames")
    settle(page)


def _not_sure(page: "Page") -> None:
    _answer(page)
    page.click(".tile[data-kind=abstained]")
    settle(page)


def _error(page: "Page") -> None:
    _answer(page)
    page.click(".tile[data-kind=refused]")
    settle(page)


def _cine(page: "Page") -> None:
    _add(page, upload("cine.tiff", animation("TIFF", _cine_frames())))
    page.click("text=Classify every frame")
    settle(page)
    page.click("text=/^Fetal brain, frame/")
    settle(page)


def _compare(page: "Page") -> None:
    _answer(page)
    page.click("#compare")
    page.click(".tile >> nth=3")
    settle(page)


def _exam(page: "Page") -> None:
    _add(page, *_exam_files())  # that many files land on their exam


def _batch(page: "Page") -> None:
    frames = [upload(f"brain_{n}.png", png("brain", n)) for n in range(5)]
    copy = upload("a longer name of the first frame, saved a second time.png", png("brain"))
    _add(page, *frames, copy, upload("report.txt", b"A text."))
    for number in (1, 3, 5):
        page.locator(".tile-box").nth(number).click()
    page.locator("#tiles .tile").nth(2).click()
    page.click("#remove")
    page.locator(".tile-note:not(:empty)").wait_for()
    settle(page)


def _reviewed(page: "Page") -> None:
    """Review six frames: confirm, correct and reject some; a filter shows what is left."""
    _answer(page)
    for count, key in enumerate("yy4yxy", 1):
        page.keyboard.press(key)
        until(page, f"document.querySelector('#review-count').textContent.startsWith('{count} ')")
    page.click("#tiles .tile >> nth=2")
    page.click("#review-choices button >> nth=3")
    settle(page)


def _help(page: "Page") -> None:
    empty(page)
    page.click("#open-help")


PAGE_STATES = {
    "empty": PageState(empty),
    "answer": PageState(_answer),
    "answer-dark": PageState(_answer, "dark"),
    "not-sure": PageState(_not_sure),
    "error": PageState(_error),
    "cine": PageState(_cine, "dark"),
    "batch": PageState(_batch),
    "reviewed": PageState(_reviewed),
    "compare": PageState(_compare, "dark"),
    "exam": PageState(_exam, size=(1280, 1000)),
    "help": PageState(_help),
    "phone": PageState(_answer, size=(390, 844)),
    "phone-dark": PageState(_not_sure, "dark", (390, 844)),
}
