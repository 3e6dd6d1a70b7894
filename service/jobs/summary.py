"""A run in brief: a table for people, and counts for the system that started it."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service import __version__
from service.inference.package import ModelPackage
from service.jobs.journal import ResultRow

DISCLAIMER = "Research use only. Not a medical device."

_COLUMNS = (
    "file", "frame", "plane", "probability", "second_plane", "second_probability", "sub_plane", "sub_plane_probability",
    "abstain_reason", "problem", "detail",
)  # fmt: skip


@dataclass(slots=True)
class Counts:
    """How many frames there were, and what became of them."""

    frames: int = 0
    refused: int = 0
    abstained: int = 0
    planes: Counter[str] = field(default_factory=Counter)

    def add(self, row: ResultRow) -> None:
        """Count a row."""
        self.frames += 1
        if row.answer is None:
            self.refused += 1
        elif row.answer.abstain:
            self.abstained += 1
        else:
            self.planes[row.answer.predictions[0].plane] += 1

    def text(self) -> str:
        """The counts as a sentence."""
        planes = ", ".join(f"{plane} {count}" for plane, count in self.planes.most_common())
        return (
            f"{self.frames} frames: {planes or 'no plane named'}; abstained {self.abstained}, refused {self.refused}. "
            f"{DISCLAIMER}"
        )


def write_table(rows: Iterable[ResultRow], path: Path) -> None:
    """Write a CSV with a line for each row, in the order of files and frames."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows(_line(row) for row in sorted(rows, key=lambda row: (row.file, row.frame)))


def _line(row: ResultRow) -> tuple[Any, ...]:
    best: list[Any] = [None] * 4
    if row.answer is not None:
        best = [value for each in row.answer.predictions for value in (each.plane, each.probability)]
    finer = row.answer.sub_plane if row.answer else None
    sub_plane = (finer.plane, finer.probability) if finer else (None, None)
    reason = row.answer.abstain_reason if row.answer else None
    problem = (row.problem.code, row.problem.detail) if row.problem else (None, None)
    return (_plain(row.file), row.frame, *best, *sub_plane, reason, *problem)


def _plain(name: str) -> str:
    """A file's name as no spreadsheet takes it for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def result_json(counts: Counts, package: ModelPackage) -> dict[str, Any]:
    """What mercure reads from `result.json`: the counts, and the text of its notification."""
    return {
        "frames": counts.frames,
        "refused": counts.refused,
        "abstained": counts.abstained,
        "planes": dict(counts.planes),
        "model": {"name": package.manifest.name, "version": package.manifest.version, "sha256": package.sha256},
        "version": __version__,
        "disclaimer": DISCLAIMER,
        "__mercure_notification": {"text": counts.text(), "requested": False},
    }
