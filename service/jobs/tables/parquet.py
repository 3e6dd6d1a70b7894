"""The Parquet sink: one row per frame, one file per shard."""

import json

import pyarrow as pa
from pyarrow import parquet

from service.jobs.rows import Counts, ResultRow, Sink
from service.jobs.tables.plan import Plan
from service.jobs.tables.storage import Storage

_COUNTS = b"fetal_planes.counts"


class PartSink(Sink):
    """Collects the rows of a shard, then writes them as one part of the table."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._rows: list[ResultRow] = []

    def write(self, row: ResultRow) -> None:
        """Keep and count one row."""
        super().write(row)
        self._rows.append(row)

    def save(self, out: Storage, number: int, files: list[str]) -> None:
        """Write the part of shard `number`, in the order of `files` and frames; raises `JobError`."""
        order = {file: index for index, file in enumerate(files)}
        rows = sorted(self._rows, key=lambda row: (order[row.file], row.frame))
        # The counts travel in the part, so that a later run counts the table without reading its rows.
        schema = _schema(self._plan).with_metadata({_COUNTS: json.dumps(self.counts.model_dump()).encode()})
        table = pa.Table.from_pylist([self._cells(row) for row in rows], schema)
        out.write(self._plan.part(number), lambda stream: parquet.write_table(table, stream))

    def _cells(self, row: ResultRow) -> dict[str, str | int | float | None]:
        predictions = row.answer.predictions if row.answer is not None else ()
        probabilities = {f"probability_{each.plane}": each.probability for each in predictions}
        return row.cells() | probabilities | {"model_sha256": self._plan.key.model_sha256}


def read_counts(out: Storage, name: str) -> Counts | None:
    """Return the counts of a part; None if the part is missing or damaged."""
    try:
        with out.open(name) as file:
            return Counts.model_validate_json(parquet.read_schema(file).metadata[_COUNTS])
    except (OSError, pa.ArrowInvalid, LookupError, TypeError, ValueError):
        return None


def _schema(plan: Plan) -> pa.Schema:
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("frame", pa.int32(), nullable=False),
            ("frames", pa.int32()),
            *((f"probability_{plane}", pa.float32()) for plane in plan.planes),
            ("plane", pa.string()),
            ("abstain", pa.bool_()),
            ("abstain_reason", pa.string()),
            ("ood_score", pa.float32()),
            ("sub_plane", pa.string()),
            ("sub_plane_probability", pa.float32()),
            pa.field("model_sha256", pa.string(), nullable=False),
            ("problem", pa.string()),
            ("detail", pa.string()),
        ]
    )
