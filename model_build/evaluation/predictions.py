"""Evaluation of a model package on labeled frames, through the very engine that serves it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_build.data.records import PLANES, DataError, DataSet, Record, planes_of
from model_build.data.splits import main_planes
from model_build.evaluation.metrics import (
    Interval,
    brier,
    calibration_error,
    exact_interval,
    macro_f1,
    patient_bootstrap,
    top_k,
)
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.schemas.manifest import Plane

Row = dict[str, str | int | float]

_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a package said of N frames: probabilities float32 [N, K], ood_score float32 [N], and what was true."""

    records: Sequence[Record]
    probabilities: NDArray[np.float32]
    ood_score: NDArray[np.float32]
    abstained: NDArray[np.bool_]
    labels: tuple[Plane, ...] = PLANES

    @property
    def main(self) -> "Outcome | None":
        """The same for the four main planes of FETAL_PLANES_DB, where they are among others."""
        numbers = main_planes([plane.id for plane in self.labels])
        return self.only(np.isin(self.planes, numbers)) if numbers else None

    @property
    def planes(self) -> NDArray[np.int64]:
        """The true planes, int64 [N]."""
        return planes_of(self.records)

    def only(self, rows: NDArray[np.bool_]) -> "Outcome":
        """The same for some of the frames."""
        records = [record for record, kept in zip(self.records, rows, strict=True) if kept]
        return Outcome(records, self.probabilities[rows], self.ood_score[rows], self.abstained[rows], self.labels)


@dataclass(frozen=True)
class Metric:
    """A figure of merit with its interval and the number of frames behind it."""

    name: str
    value: float
    interval: Interval | None
    frames: int


def run_engine(engine: Engine, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record]) -> Outcome:
    """Classify gray frames uint8 [H, W] one by one, as the service would."""
    preprocessing = engine.manifest.preprocessing
    scores = [
        engine.score(crop_and_letterbox(frame, preprocessing)[0])
        for frame in tqdm(frames, desc="scoring", disable=None)
    ]
    return Outcome(
        records,
        np.stack([score.probabilities for score in scores]),
        np.array([score.ood_score for score in scores], np.float32),
        np.array([abstain_reason(score, engine.manifest.abstention) is not None for score in scores]),
        engine.manifest.planes,
    )


def match_planes(data: DataSet, planes: Sequence[Plane]) -> list[Record]:
    """The records of a data set with their planes numbered as a package does; raises DataError where it lacks one."""
    known = {plane.id: number for number, plane in enumerate(planes)}
    foreign = [plane.id for plane in data.planes if plane.id not in known]
    if foreign:
        raise DataError(f"the package does not know {', '.join(foreign)}; it knows {', '.join(known)}")
    return [replace(record, plane=known[data.planes[record.plane].id]) for record in data.records]


def headline(outcome: Outcome) -> list[Metric]:
    """The figures that the card leads with; intervals from drawing whole patients 1,000 times."""
    whole, main = f"{_WORDS.get(len(outcome.labels), len(outcome.labels))} planes", outcome.main
    parts = [("four main planes", main), (whole, outcome)] if main and main.records else [(whole, outcome)]
    second = [_rate(f"top-2, {whole}", outcome, 2)] if len(outcome.labels) > 2 else []
    return [
        *(_rate(f"top-1, {name}", part, 1) for name, part in parts),
        *second,
        *(_figure(f"macro-F1, {name}", part, macro_f1) for name, part in parts),
        _figure("calibration error (15 bins)", outcome, calibration_error),
        _figure("Brier score", outcome, brier),
        Metric("answered (not abstained)", float(1 - outcome.abstained.mean()), None, len(outcome.records)),
    ]


def _rate(name: str, outcome: Outcome, k: int) -> Metric:
    return _figure(name, outcome, lambda probabilities, planes: float(top_k(probabilities, planes, k).mean()))


def _figure(name: str, outcome: Outcome, function: object) -> Metric:
    assert callable(function)
    probabilities, planes = outcome.probabilities, outcome.planes
    interval = patient_bootstrap(
        lambda rows: function(probabilities[rows], planes[rows]), [record.patient for record in outcome.records]
    )
    return Metric(name, float(function(probabilities, planes)), interval, len(planes))


def per_plane(outcome: Outcome) -> list[Row]:
    """One row a plane: recall with its exact interval, precision, top-2 recall, counts of frames and patients."""
    predicted, planes = outcome.probabilities.argmax(1), outcome.planes
    rows: list[Row] = []
    for number, plane in enumerate(outcome.labels):
        own = planes == number
        hits, claimed = int((predicted[own] == number).sum()), int((predicted == number).sum())
        interval = exact_interval(hits, int(own.sum()))
        rows.append(
            {
                "plane": plane.label,
                "frames": int(own.sum()),
                "patients": len({record.patient for record in outcome.only(own).records}),
                "right": hits,
                "recall": hits / max(1, int(own.sum())),
                "recall_low": interval.low,
                "recall_high": interval.high,
                "precision": hits / claimed if claimed else float("nan"),
                "top2_recall": float(top_k(outcome.probabilities[own], planes[own], 2).mean()) if own.any() else 0.0,
            }
        )
    return rows


def per_scanner(outcome: Outcome) -> list[Row]:
    """One row a machine, of the four main planes where there are more: top-1 with its exact interval, and counts."""
    main = outcome.main or outcome
    rows: list[Row] = []
    for scanner in sorted({record.scanner for record in main.records}):
        part = main.only(np.array([record.scanner == scanner for record in main.records]))
        hits = int(top_k(part.probabilities, part.planes, 1).sum())
        interval = exact_interval(hits, len(part.records))
        rows.append(
            {
                "scanner": scanner,
                "frames": len(part.records),
                "right": hits,
                "top1": hits / len(part.records),
                "top1_low": interval.low,
                "top1_high": interval.high,
            }
        )
    return rows


def confusion(outcome: Outcome) -> NDArray[np.int64]:
    """Counts int64 [K, K]: rows are true planes, columns the planes that were predicted."""
    counts = np.zeros((len(outcome.labels), len(outcome.labels)), np.int64)
    np.add.at(counts, (outcome.planes, outcome.probabilities.argmax(1)), 1)
    return counts


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that share their keys as CSV; floats to six digits."""
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
