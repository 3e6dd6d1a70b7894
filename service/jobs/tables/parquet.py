"""The Parquet sink: one row per frame, one file per shard."""

import json
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from service.jobs.rows import Counts, ResultRow, Sink
from service.jobs.tables.plan import Plan
from service.jobs.tables.storage import Storage

PROBABILITY = "probability_"

_COUNTS = b"fetal_planes.counts"


class PartSink(Sink):
    """Collects the rows of a shard, then writes them as one part of the table."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._rows: list[ResultRow] = []

    def _store(self, row: ResultRow) -> None:
        self._rows.append(row)

    def save(self, out: Storage, number: int, files: list[str]) -> None:
        """Write the part of shard `number`, in the order of `files` and frames; raises `StorageError`."""
        order = {file: index for index, file in enumerate(files)}
        rows = sorted(self._rows, key=lambda row: (order[row.file], row.frame))
        # The counts travel in the part, so that a later run counts the table without reading its rows.
        metadata = {_COUNTS: json.dumps(self.counts.to_dict()).encode()}
        columns = [_columns(row) | {"model_sha256": self._plan.key.model_sha256} for row in rows]
        table = pa.Table.from_pylist(columns, _schema(self._plan).with_metadata(metadata))
        out.write(self._plan.part(number), lambda stream: parquet.write_table(table, stream))


def read_counts(out: Storage, name: str) -> Counts | None:
    """Return the counts of a part; None if the part is missing or damaged."""
    try:
        with out.open(name) as file:
            metadata = parquet.read_schema(file).metadata[_COUNTS]
        return Counts.from_dict(json.loads(metadata))
    except (OSError, pa.ArrowInvalid, LookupError, TypeError, ValueError):
        return None


def _schema(plan: Plan) -> pa.Schema:
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("frame", pa.int32(), nullable=False),
            pa.field("frames", pa.int32()),
            *(pa.field(f"{PROBABILITY}{plane}", pa.float32()) for plane in plan.planes),
            pa.field("plane", pa.string()),
            pa.field("abstain", pa.bool_()),
            pa.field("abstain_reason", pa.string()),
            pa.field("ood_score", pa.float32()),
            pa.field("sub_plane", pa.string()),
            pa.field("sub_plane_probability", pa.float32()),
            pa.field("model_sha256", pa.string(), nullable=False),
            pa.field("problem", pa.string()),
            pa.field("detail", pa.string()),
        ]
    )


def _columns(row: ResultRow) -> dict[str, Any]:
    columns: dict[str, Any] = {"file": row.file, "frame": row.frame, "frames": row.frames}
    if row.problem is not None:
        columns |= {"problem": row.problem.code, "detail": row.problem.detail}
    answer = row.answer
    if answer is None:
        return columns
    columns |= {f"{PROBABILITY}{each.plane}": each.probability for each in answer.predictions}
    return columns | {
        "plane": answer.predictions[0].plane,
        "abstain": answer.abstain,
        "abstain_reason": answer.abstain_reason,
        "ood_score": row.ood_score,
        "sub_plane": answer.sub_plane.plane if answer.sub_plane else None,
        "sub_plane_probability": answer.sub_plane.probability if answer.sub_plane else None,
    }
