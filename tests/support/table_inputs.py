"""Folders of files for the job `table`, and readers of the table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset

from tests.support.images import animation, encode, speckle


def write_stills(folder: Path, count: int) -> Path:
    """Write `count` stills in five folders, a loop of six frames, a damaged, an empty and a hidden file."""
    for number in range(count):
        ward = folder / f"ward{number % 5}"
        ward.mkdir(parents=True, exist_ok=True)
        (ward / f"still{number:04d}.png").write_bytes(encode(speckle(seed=number)))
    (folder / "loop.webp").write_bytes(animation("WEBP", [speckle(seed=seed) for seed in range(6)], lossless=True))
    (folder / "damaged.png").write_bytes(encode(speckle())[:100])
    (folder / "empty.png").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"must not be read")
    return folder


def read_table(out: Path) -> pa.Table:
    """Return every row of a table, in the order of files and frames."""
    table = pa.dataset.dataset(out, partitioning="hive").to_table()
    return table.sort_by([("file", "ascending"), ("frame", "ascending")]).replace_schema_metadata()


def part_paths(out: Path) -> list[Path]:
    """Return the parts that are written."""
    return list(out.glob("batch=*/part-*.parquet"))
