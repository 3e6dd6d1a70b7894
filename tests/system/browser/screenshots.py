"""Take pictures of the page in its states, with drawn frames only.

Run it with `python -m tests.system.browser.screenshots FOLDER`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tests.support.drawn_frames import loop, scan
from tests.support.drawn_model import Artist
from tests.support.images import animation, encode
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Upload(TypedDict):
    """A file as Playwright takes it."""

    name: str
    mimeType: str
    buffer: bytes


def upload(name: str, content: bytes) -> Upload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def exam() -> list[Upload]:
    """Frames of an exam without a cervix; some unlike those that the phantom knows, and one file that is none."""
    order = [
        ("head", 0),
        ("head", 3),
        ("belly", 1),
        ("head", 77),
        ("femur", 2),
        ("chest", 4),
        ("belly", 5),
        ("femur", 3),
    ]
    order += [("chest", 6), ("head", 7), ("chest", 79), ("belly", 8), ("femur", 9), ("head", 80)]
    frames = [
        upload(f"exam_{number:02}.png", encode(scan(kind, seed=seed))) for number, (kind, seed) in enumerate(order, 1)
    ]
    return [*frames, upload("report.txt", b"No frame, but a note that lay in the same folder.")]


def cine() -> Upload:
    return upload("loop.tiff", animation("TIFF", loop(24, ("head", "belly", "femur"))))


def add(page: "Page", *uploads: Upload) -> None:
    """Choose files, and wait until each has its answer."""
    page.set_input_files("#files", list(uploads))
    settle(page)


def until(page: "Page", condition: str, seconds: float = 30) -> None:
    """Wait for a JavaScript expression to be true. Playwright's own wait runs `eval` later, which the page forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        time.sleep(0.03)


def settle(page: "Page") -> None:
    """Wait until nothing is read any more and the chosen frame is on show."""
    until(page, "!document.querySelector('.tile[data-kind=waiting], .tile[data-kind=asking], #picture.stale')")
    until(page, "document.querySelector('#progress').hidden")
    page.wait_for_timeout(300)


def empty(page: "Page") -> None:
    until(page, "document.querySelector('#formats').textContent !== ''")


def answer(page: "Page") -> None:
    add(page, *exam())


def unsure(page: "Page") -> None:
    add(page, *exam())
    page.click(".tile[data-kind=abstained]")
    settle(page)


def error(page: "Page") -> None:
    add(page, *exam())
    page.click(".tile[data-kind=refused]")
    settle(page)


def loop_strip(page: "Page") -> None:
    add(page, cine())
    page.click("text=Read every frame")
    settle(page)
    page.click("text=/^Fetal brain, frame/")
    settle(page)


def whole_exam(page: "Page") -> None:
    add(page, *exam())
    page.click("#view-exam")


def note(page: "Page") -> None:
    empty(page)
    page.click("#open-note")


STATES: dict[str, tuple[Callable[["Page"], None], str, tuple[int, int]]] = {
    "empty": (empty, "light", (1280, 800)),
    "answer": (answer, "light", (1280, 800)),
    "answer-dark": (answer, "dark", (1280, 800)),
    "not-sure": (unsure, "light", (1280, 800)),
    "error": (error, "light", (1280, 800)),
    "cine": (loop_strip, "dark", (1280, 800)),
    "exam": (whole_exam, "light", (1280, 1000)),
    "note": (note, "light", (1280, 800)),
    "phone": (answer, "light", (390, 844)),
    "phone-dark": (unsure, "dark", (390, 844)),
}
"""Each state: how the page comes into it, the color scheme, and the window's width and height."""


def take(browser: "Browser", address: str, folder: Path) -> None:
    for name, (enter, scheme, (width, height)) in STATES.items():
        phone = width < 600
        context = browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(address)
        enter(page)
        page.screenshot(path=folder / f"{name}.png", full_page=phone)
        context.close()


def main() -> int:
    folder = Path(sys.argv[1])
    if reason := why_not():
        sys.stderr.write(f"no pictures: {reason}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as package,
        serving(Artist().write(Path(package))) as address,
        chromium() as browser,
    ):
        take(browser, address, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
