"""Review frames on the page and save them, as a person does; for tests of the page and of what trains on reviews."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.system.browser.visit import Visit, upload


def press(page: Visit, key: str, name: str) -> None:
    """Press a key that reviews the frame `name`, which is chosen, and wait until it is reviewed."""
    shows(page, name)
    page.page.keyboard.press(key)
    page.until(f"{tile_of(name)}.dataset.verdict")


def tile_of(name: str) -> str:
    """Return the JavaScript of a file's tile."""
    return f"[...document.querySelectorAll('#tiles .tile')].find((tile) => tile.title === {name!r})"


def shows(page: Visit, name: str) -> None:
    """Wait until a file is the chosen one."""
    page.until(f"document.querySelector('#viewer-title').textContent === {name!r}")


def save_reviewed(page: Visit, folder: Path) -> Path:
    """Press the button that saves the reviewed frames; return the folder with the contents of the ZIP file."""
    with page.page.expect_download() as download:
        page.page.click("#review-zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    page.until("document.querySelector('#review-saved').textContent.includes(' saved.')")
    return folder


def export_corrections(page: Visit, files: Mapping[str, bytes], said: Mapping[str, str], folder: Path) -> Path:
    """Add files to the page, correct them and save them as a data set; return its folder.

    Parameters
    ----------
    files
        Contents by name; a name may have folders, which are patients.
    said
        For each name the key that reviews it, such as `y` or the number of a plane.
    """
    page.add(*(upload(name, content) for name, content in files.items()))
    page.page.click("#view-frames")
    for name, key in said.items():
        page.page.evaluate(f"{tile_of(name)}.click()")
        press(page, key, name)
    return save_reviewed(page, folder)
