"""A tree to classify: stills, a loop, files that are none, and what the table of it holds."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset

from tests.support.images import animation, encode, speckle


def plant(folder: Path, stills: int) -> Path:
    """So many stills in five folders, a loop of six frames, a damaged file and an empty one."""
    for number in range(stills):
        place = folder / f"ward{number % 5}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"still{number:04d}.png").write_bytes(encode(speckle(seed=number)))
    (folder / "loop.webp").write_bytes(animation("WEBP", [speckle(seed=each) for each in range(6)], lossless=True))
    (folder / "damaged.png").write_bytes(encode(speckle())[:100])
    (folder / "empty.png").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"not to be read")
    return folder


def table_of(out: Path) -> pa.Table:
    """Every row of a table, in the order of files and frames."""
    table = pa.dataset.dataset(out, partitioning="hive").to_table()
    return table.sort_by([("file", "ascending"), ("frame", "ascending")]).replace_schema_metadata()


def parts_of(out: Path) -> int:
    return len(list(out.glob("batch=*/part-*.parquet")))
