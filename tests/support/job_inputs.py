"""Folders of files for jobs, and readers of what the job `process` writes."""

import json
from pathlib import Path
from typing import Any

from service import cli
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle

CINE = dicoms.compressed([speckle(60, 80, seed=seed) for seed in range(5)], dicoms.RLE, dicoms.rle, "MONOCHROME2")

FRAMES = sorted(
    [("still.png", 0), ("a/still", 0), ("junk", 0), ("a/cut.dcm", 0), ("a/b/pages.tif", 0), ("a/b/pages.tif", 1)]
    + [("a/cine.dcm", frame) for frame in range(5)]
)
"""File and index of every row that `write_mixed_folder` leads to."""


def write_mixed_folder(folder: Path) -> Path:
    """Write nine frames in four files, an unknown and a damaged file, a text and a hidden file."""
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "still.png").write_bytes(encode(speckle(40, 50, seed=1)))
    (folder / "a" / "cine.dcm").write_bytes(CINE)
    (folder / "a" / "b" / "pages.tif").write_bytes(animation("TIFF", [speckle(30, 40, seed=seed) for seed in (7, 8)]))
    (folder / "a" / "still").write_bytes(dicoms.native([speckle(60, 80, seed=9)], SOPInstanceUID="1.2.3.9"))
    (folder / "notes.txt").write_text("no frame")
    (folder / "junk").write_bytes(bytes(100))
    (folder / "a" / "cut.dcm").write_bytes(CINE[:600])  # in the header
    (folder / ".hidden").write_text("must not be read")
    return folder


def process(model: Path, *arguments: object) -> int:
    """Run `fetal-planes process` in this process; return its exit code."""
    return cli.main(["process", "--model", str(model), *map(str, arguments)])


def result_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of `frames.jsonl`."""
    return [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]


def result_frames(out: Path) -> list[tuple[str, int]]:
    """Return file and index of each row."""
    return [(row["file"], row["frame"]) for row in result_rows(out)]
