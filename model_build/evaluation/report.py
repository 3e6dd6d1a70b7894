"""The report of an evaluation: tables as CSV, pictures as PNG, in the run's folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from model_build.evaluation.plots import draw_confusion, draw_reliability
from model_build.evaluation.predictions import Metric, Outcome, Row, confusion, per_plane, per_scanner, write_table
from service.schemas.manifest import Manifest


def write_report(
    folder: Path, outcome: Outcome, manifest: Manifest, figures: Sequence[Metric], parity: dict[str, float]
) -> None:
    """Write `report/` into a folder."""
    report = folder / "report"
    report.mkdir(parents=True, exist_ok=True)
    labels = [plane.label for plane in manifest.planes]
    summary = {"figures": [asdict(figure) for figure in figures], "parity": parity}
    (report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    write_table(report / "planes.csv", per_plane(outcome))
    write_table(report / "scanners.csv", per_scanner(outcome))
    counts = confusion(outcome)
    rows: list[Row] = [
        {"true": label, **{other: int(count) for other, count in zip(labels, row, strict=True)}}
        for label, row in zip(labels, counts, strict=True)
    ]
    write_table(report / "confusion.csv", rows)
    draw_confusion(counts, labels, report / "confusion.png")
    hits = outcome.probabilities.argmax(1) == outcome.planes
    raw = outcome.probabilities.astype(np.float64) ** manifest.temperature  # the logits before the temperature
    raw /= raw.sum(1, keepdims=True)
    calibrated = outcome.probabilities.astype(np.float64).max(1)
    draw_reliability((raw.max(1), raw.argmax(1) == outcome.planes), (calibrated, hits), report / "reliability.png")
