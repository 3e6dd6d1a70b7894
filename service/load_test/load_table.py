"""The load table: one row per loop, as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from service.load_test.loops import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """One loop.

    Attributes
    ----------
    load
        `16 clients` for a closed loop, `200 per second` for an open one.
    answered, refused, failed
        Numbers of replies with status 200, of replies with status 503, and of all other requests.
    per_second
        Answers per second.
    p50_ms, p95_ms, p99_ms
        Percentiles of the answers' times; not a number without an answer.
    """

    load: str
    answered: int
    refused: int
    failed: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, load: str, sample: Sample) -> "Row":
        """Summarize a sample."""
        times = sorted(
            seconds for status, seconds in zip(sample.statuses, sample.seconds, strict=True) if status == 200
        )
        refused = sample.statuses.count(503)
        p50, p95, p99 = (round(percentile(times, percent) * 1000, 1) for percent in (50, 95, 99))
        rate = round(len(times) / sample.wall_s, 1) if sample.wall_s else 0.0
        failed = len(sample.statuses) - len(times) - refused
        return cls(load, len(times), refused, failed, rate, p50, p95, p99)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of sorted values; not a number if there are none."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    names = [field.name for field in fields(Row)]
    lines = [[str(value) for value in asdict(row).values()] for row in rows]
    widths = [max(len(line[column]) for line in [names, *lines]) for column in range(len(names))]
    with_rule = [names, ["-" * width for width in widths], *lines]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in with_rule
    )


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
