"""Take screenshots of the page in its states, with drawn frames: `python -m tests.system.browser.screenshots DIR`."""

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.support.drawn_model import DrawnModel
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.page_states import PAGE_STATES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_COLORS = 128  # of a screenshot; speckle hides the steps, and files stay below 300 kB


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


def _save(png: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    folder = Path(sys.argv[1])
    if reason := why_not():
        sys.stderr.write(f"no screenshots: {reason}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as package,
        serving(DrawnModel().write(Path(package))) as address,
        chromium() as browser,
    ):
        take(browser, address, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
