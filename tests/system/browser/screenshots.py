"""Take screenshots of the page: drawn frames, shipped model. `python -m tests.system.browser.screenshots DIR`."""

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from service.settings import SHIPPED_MODEL
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.live_video import camera, frames_of, live, shots, write_y4m
from tests.system.browser.page_states import PAGE_STATES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_COLORS = 256  # of a screenshot; keeps the files below 300 kB


def take(browser: "Browser", address: str, folder: Path) -> None:
    for name, state in PAGE_STATES.items():
        width, height = state.size
        context = browser.new_context(
            color_scheme=state.color_scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(address)
        state.enter(page)
        _save(page.screenshot(full_page=width < 600), folder / f"{name}.png")
        context.close()


def take_live(browser: "Browser", address: str, folder: Path) -> None:
    """Take the live view, light and dark, with a camera that plays drawn frames."""
    with tempfile.TemporaryDirectory() as temporary:
        video = write_y4m(frames_of(shots()), Path(temporary) / "exam.y4m")
        with camera(browser, video) as started:
            for name, scheme in (("live", "light"), ("live-dark", "dark")):
                page = started.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
                page.goto(address)
                live(page)
                _save(page.screenshot(), folder / f"{name}.png")
                page.close()


def _save(png: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    palette = image.quantize(_COLORS)  # without `palette`, Pillow does not dither
    image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def main() -> int:
    folder = Path(sys.argv[1])
    if reason := why_not():
        sys.stderr.write(f"no screenshots: {reason}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with serving(SHIPPED_MODEL) as address, chromium() as browser:
        take(browser, address, folder)
        take_live(browser, address, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
