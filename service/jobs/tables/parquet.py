"""The table: a row a frame, written a shard to a file."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from service.jobs.journal import ResultRow
from service.jobs.summary import Counts
from service.jobs.tables.storage import Storage

PROBABILITY = "probability_"

_COUNTS = b"fetal_planes.counts"


class TableRow(ResultRow):
    """One frame, with every plane's probability in its answer."""

    ood_score: float | None = Field(description="How unlike the training frames it is; null where it was refused.")


def schema_of(planes: Sequence[str]) -> pa.Schema:
    """The columns of a model's table."""
    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("frame", pa.int32(), nullable=False),
            pa.field("frames", pa.int32()),
            *(pa.field(f"{PROBABILITY}{plane}", pa.float32()) for plane in planes),
            pa.field("plane", pa.string()),
            pa.field("abstain", pa.bool_()),
            pa.field("abstain_reason", pa.string()),
            pa.field("ood_score", pa.float32()),
            pa.field("sub_plane", pa.string()),
            pa.field("sub_plane_probability", pa.float32()),
            pa.field("model_sha256", pa.string(), nullable=False),
            pa.field("error", pa.string()),
            pa.field("error_reason", pa.string()),
        ]
    )


def write_part(out: Storage, name: str, rows: list[TableRow], planes: Sequence[str], model_sha256: str) -> Counts:
    """Write a shard's rows, and count them; raises `PlaceError`."""
    counts = Counts()
    for row in rows:
        counts.add(row)
    noted = {_COUNTS: json.dumps(values_of(counts)).encode()}
    columns = [_columns(row) | {"model_sha256": model_sha256} for row in rows]
    table = pa.Table.from_pylist(columns, schema_of(planes).with_metadata(noted))
    out.write(name, lambda stream: parquet.write_table(table, stream))
    return counts


def counts_of(out: Storage, name: str) -> Counts | None:
    """What a part that was written holds; None where it is not there, or not whole."""
    try:
        with out.open(name) as file:
            noted = parquet.read_schema(file).metadata[_COUNTS]
        return counts_from(json.loads(noted))
    except (OSError, pa.ArrowInvalid, LookupError, TypeError, ValueError):
        return None


def merge(into: Counts, counts: Counts) -> None:
    """Count what others have counted."""
    into.frames += counts.frames
    into.refused += counts.refused
    into.abstained += counts.abstained
    into.planes.update(counts.planes)


def values_of(counts: Counts) -> dict[str, Any]:
    """Counts as JSON has them."""
    return {field.name: getattr(counts, field.name) for field in fields(counts)}


def counts_from(values: dict[str, Any]) -> Counts:
    """Counts from what `values_of` made of them."""
    return Counts(**values | {"planes": Counter(values["planes"])})


def _columns(row: TableRow) -> dict[str, Any]:
    where = {"source": row.file, "frame": row.frame, "frames": row.frames}
    if row.problem is not None:
        where |= {"error": row.problem.code, "error_reason": row.problem.detail}
    answer = row.answer
    if answer is None:
        return where
    told: dict[str, Any] = {f"{PROBABILITY}{each.plane}": each.probability for each in answer.predictions}
    finer = answer.sub_plane
    return where | told | {
        "plane": answer.predictions[0].plane,
        "abstain": answer.abstain,
        "abstain_reason": answer.abstain_reason,
        "ood_score": row.ood_score,
        "sub_plane": finer.plane if finer else None,
        "sub_plane_probability": finer.probability if finer else None,
    }  # fmt: skip
