"""What a stretch of load came to: a row of the table, and of the CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from service.load_test.loops import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """One stretch of load.

    Attributes
    ----------
    load
        `16 clients`, or `200 a second`.
    answered
        Replies of status 200.
    refused
        Honest refusals: 503.
    failed
        All else, with requests that had no reply.
    a_second
        Answers a second.
    p50_ms, p95_ms, p99_ms
        Of the answers' times; not a number where there was none.
    """

    load: str
    answered: int
    refused: int
    failed: int
    a_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, load: str, sample: Sample) -> "Row":
        """Sum up a sample."""
        times = sorted(
            seconds for status, seconds in zip(sample.statuses, sample.seconds, strict=True) if status == 200
        )
        refused = sample.statuses.count(503)
        p50, p95, p99 = (round(percentile(times, share) * 1000, 1) for share in (50, 95, 99))
        rate = round(len(times) / sample.wall_s, 1) if sample.wall_s else 0.0
        failed = len(sample.statuses) - len(times) - refused
        return cls(load, len(times), refused, failed, rate, p50, p95, p99)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` percent of the ordered values do not exceed; not a number without any."""
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else math.nan


def as_table(rows: Sequence[Row]) -> str:
    """Rows as a table in Markdown."""
    names = [field.name for field in fields(Row)]
    lines = [[str(value) for value in asdict(row).values()] for row in rows]
    widths = [max(len(line[column]) for line in [names, *lines]) for column in range(len(names))]
    ruled = [names, ["-" * width for width in widths], *lines]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in ruled
    )


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV, with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
