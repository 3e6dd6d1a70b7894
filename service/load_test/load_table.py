"""The load table: one row per loop, as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.load_test.loops import Sample


class Row(NamedTuple):
    """One loop."""

    load: str  # `16 clients` for a closed loop, `200 per second` for an open one
    answered: int  # replies with status 200
    refused: int  # replies with status 503
    failed: int  # all other requests
    per_second: float  # answers per second
    p50_ms: float  # nearest-rank percentiles of the answers' times; not a number without an answer
    p95_ms: float
    p99_ms: float
    cpu_ms: float = math.nan  # CPU time of the server per answer, refusals included; known for a local server only

    @classmethod
    def of(cls, load: str, sample: Sample) -> "Row":
        """Summarize a sample."""
        times = [seconds for status, seconds in zip(sample.statuses, sample.seconds, strict=True) if status == 200]
        refused = sample.statuses.count(503)
        failed = len(sample.statuses) - len(times) - refused
        rate = round(len(times) / sample.wall_s, 1) if sample.wall_s else 0.0
        ranks = np.percentile(times or [math.nan], (50, 95, 99), method="inverted_cdf").tolist()
        cpu_ms = round(1000 * sample.cpu_s / len(times), 2) if times else math.nan
        p50_ms, p95_ms, p99_ms = (round(seconds * 1000, 1) for seconds in ranks)
        return cls(load, len(times), refused, failed, rate, p50_ms, p95_ms, p99_ms, cpu_ms)


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [Row._fields, *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    lines = (" | ".join(map(str.ljust, line, widths)) for line in cells)
    return "".join(f"| {line} |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Row._fields, *rows])
    return text.getvalue()
