"""A simulated year of exams as results of `table`, `process` and the store, with effects to find or without any.

Sites, machines, operators and months vary naturally: each has random effects, as in real life. Nothing in a file is of
a real exam. `python -m tests.support.simulated_year OUT` writes a year with effects.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

PLANES = ("fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax", "maternal_cervix", "other")
MODEL = "a" * 64
MONTHS = [f"2026-{month:02d}" for month in range(1, 13)]

EXAMS, SITES, MACHINES_PER_SITE, OPERATORS_PER_SITE = 40_000, 8, 5, 15
MEAN_FRAMES = 50.0

LOW_SITE = 5
LAZY_OPERATOR = 3 * OPERATORS_PER_SITE + 4  # leaves out the femur
DRIFTING_MACHINE, DRIFTS_FROM = 6 * MACHINES_PER_SITE + 1, 7  # loses confidence from August on
SPIKE_MONTH = 2  # March: more abstentions at every site


@dataclass(frozen=True)
class Planted:
    """Which effects a year has."""

    low_site: bool = True
    lazy_operator: bool = True
    drifting_machine: bool = True
    spike_month: bool = True
    variation: float = 1.0  # of sites, machines, operators and months, without any effect


NOTHING = Planted(low_site=False, lazy_operator=False, drifting_machine=False, spike_month=False)


def site_name(number: int) -> str:
    return f"hospital {number + 1}"


def machine_name(number: int) -> str:
    return f"Voluson E{8 + number % 3} #{number:08x}"


def operator_hash(number: int) -> str:
    return f"{(number + 1) * 0x9E3779B1 % 2**32:08x}" + "0" * 56


Numbers = NDArray[Any]
Columns = dict[str, Numbers]


def _logistic(x: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-x))


def _exams(random: np.random.Generator, count: int, planted: Planted) -> Columns:
    """The exams: their groups, and what each frame of them draws from."""
    site = random.choice(SITES, count, p=random.dirichlet(np.full(SITES, 20.0)))
    machine = site * MACHINES_PER_SITE + random.integers(0, MACHINES_PER_SITE, count)
    operator = site * OPERATORS_PER_SITE + np.minimum(
        random.geometric(0.12, count) - 1, OPERATORS_PER_SITE - 1
    )  # some have many exams, some few
    month = random.integers(0, 12, count)
    wide = planted.variation
    skill = (
        random.normal(0, 0.25 * wide, SITES)[site]
        + random.normal(0, 0.25 * wide, SITES * OPERATORS_PER_SITE)[operator]
        + random.normal(0, 0.08 * wide, 12)[month]
    )
    per_plane = np.stack([skill + random.normal(0, 0.05, SITES)[site] + base for base in (3.4, 3.6, 3.2, 3.0, 2.0)])
    if planted.low_site:
        per_plane[:, site == LOW_SITE] -= 1.8
    shown = random.random((5, count)) < _logistic(per_plane)
    if planted.lazy_operator:
        shown[2] &= ~((operator == LAZY_OPERATOR) & (random.random(count) < 0.85))
    trouble = random.beta(1.2, 25, count) + random.normal(0, 0.004 * wide, SITES * MACHINES_PER_SITE)[machine]
    trouble += random.normal(0, 0.002 * wide, 12)[month]
    if planted.spike_month:
        trouble[month == SPIKE_MONTH] += 0.06
    confidence = 2.9 + random.normal(0, 0.06 * wide, SITES * MACHINES_PER_SITE)[machine]
    confidence += random.normal(0, 0.02 * wide, 12)[month]
    if planted.drifting_machine:
        late = (machine == DRIFTING_MACHINE) & (month >= DRIFTS_FROM)
        confidence[late] -= 0.35 + 0.05 * (month[late] - DRIFTS_FROM)
    frames = random.negative_binomial(6, 6 / (6 + MEAN_FRAMES - 5), count) + 5
    return {
        "site": site, "machine": machine, "operator": operator, "month": month, "shown": shown,
        "trouble": np.clip(trouble, 0.001, 0.9), "confidence": confidence, "frames": frames,
    }  # fmt: skip


def _frames(random: np.random.Generator, exams: Columns) -> Columns:
    """One row per frame."""
    exam = np.repeat(np.arange(len(exams["frames"])), exams["frames"])
    start = np.concatenate([[0], np.cumsum(exams["frames"])[:-1]])
    number = np.arange(len(exam)) - start[exam]
    # The first five frames of an exam show its planes, if it has them; further ones show any of these, or another view.
    plane = np.where(number < 5, number, np.minimum(random.integers(0, 9, len(exam)), 5))
    missing = (plane < 5) & ~exams["shown"][np.minimum(plane, 4), exam]
    plane = np.where(missing, 5, plane)
    trouble = random.random(len(exam)) < exams["trouble"][exam]
    trouble &= number >= 5  # the frames for the protocol are repeated until they are good
    logit = exams["confidence"][exam] + random.logistic(0, 0.7, len(exam))
    probability = np.round(np.clip(_logistic(logit), 0.62, 0.99999), 6)
    probability = np.where(trouble, np.round(random.uniform(0.3, 0.6, len(exam)), 6), probability)
    ood = random.normal(-1.0, 0.5, len(exam)) + 1.6 * (trouble & (random.random(len(exam)) < 0.5))
    return {"exam": exam, "number": number, "plane": plane, "probability": probability, "trouble": trouble, "ood": ood}


def make_year(seed: int, planted: Planted, count: int = EXAMS) -> tuple[Columns, Columns]:
    """Return exams and frames."""
    random = np.random.default_rng(seed)
    exams = _exams(random, count, planted)
    return exams, _frames(random, exams)


def _text(values: Sequence[str], codes: Numbers) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values)).cast(pa.string())


def to_table(exams: Columns, frames: Columns) -> pa.Table:
    """Return the frames in the columns of `table --audit-columns`."""
    exam, plane, probability, trouble = (frames[name] for name in ("exam", "plane", "probability", "trouble"))
    rows, zeros = len(exam), np.zeros(len(exam), np.int32)
    reason = pa.array(np.where(frames["ood"] > 0.2, 1, 0).astype(np.int32), mask=~trouble)
    no_brain = (plane != 1) | trouble
    columns: dict[str, Any] = {
        "file": np.char.add(np.char.add(exam.astype("U8"), "/"), frames["number"].astype("U8")),
        "frame": zeros,
        "frames": zeros + 1,
    }
    for index, name in enumerate(PLANES):
        rest = np.where((plane + 1) % len(PLANES) == index, 1 - probability, 0)
        columns[f"probability_{name}"] = np.where(plane == index, probability, rest).astype(np.float32)
    return pa.table(
        columns
        | {
            "plane": _text(PLANES, plane),
            "abstain": trouble,
            "abstain_reason": pa.array(["uncertain", "out-of-distribution"]).take(reason),
            "ood_score": frames["ood"].astype(np.float32),
            "sub_plane": pa.array(["trans_thalamic"]).take(pa.array(zeros, mask=no_brain)),
            "sub_plane_probability": pa.array(np.full(rows, 0.9, np.float32), mask=no_brain),
            "model_sha256": _text([MODEL], zeros),
            "problem": pa.nulls(rows, pa.string()),
            "detail": pa.nulls(rows, pa.string()),
            "sha256": np.char.zfill(np.arange(rows).astype("U8"), 64),
            "study": _text([f"{number:064x}" for number in range(len(exams["frames"]))], exam),
            "operator": _text(
                [operator_hash(each) for each in range(SITES * OPERATORS_PER_SITE)], exams["operator"][exam]
            ),
            "machine": _text([machine_name(each) for each in range(SITES * MACHINES_PER_SITE)], exams["machine"][exam]),
            "site": _text([site_name(each) for each in range(SITES)], exams["site"][exam]),
            "month": _text(MONTHS, exams["month"][exam]),
        }
    )


def write_year(folder: Path, seed: int, planted: Planted, count: int = EXAMS) -> list[str]:
    """Write a table of all sites but one, the JSON lines of that one, and corrections; return them as sources."""
    exams, frames = make_year(seed, planted, count)
    table = to_table(exams, frames)
    site = exams["site"][frames["exam"]]
    (folder / "table" / "batch=0000").mkdir(parents=True)
    for number in range(SITES - 1):
        parquet.write_table(table.filter(site == number), folder / "table" / "batch=0000" / f"part-{number}.parquet")
    (folder / "results").mkdir()
    write_json_lines(table.filter(site == SITES - 1), folder / "results" / "frames.jsonl")
    write_corrections(table, np.random.default_rng(seed + 1), folder / "corrections.csv")
    return [str(folder / name) for name in ("table", "results", "corrections.csv")]


_JSON = """
SELECT file, frame, frames, {
    predictions: [{plane: plane, probability: probability}, {plane: 'other', probability: 1 - probability}],
    abstain: abstain, abstain_reason: abstain_reason,
    sub_plane: CASE WHEN sub_plane IS NOT NULL THEN {plane: sub_plane, probability: 0.9} END, sub_plane_reason: NULL,
    model: {name: 'simulated', version: '1', sha256: model_sha256}
} AS answer, NULL AS problem, [] AS dicom, sha256, false AS no_plane, {
    study: study, patient: NULL, operator: operator, machine: machine, site: site, month: month, ood_score: ood_score
} AS audit
FROM (SELECT *, round(greatest(*COLUMNS('^probability_.*'))::DOUBLE, 6) AS probability FROM rows)
"""


def write_json_lines(rows: pa.Table, path: Path) -> None:
    """Write frames as `process --audit-columns` does."""
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.execute(f"COPY ({_JSON}) TO '{path}' (FORMAT json)")


def write_corrections(table: pa.Table, random: np.random.Generator, path: Path, share: float = 0.002) -> None:
    """Write corrections of some frames, as `GET /corrections?format=csv` does: people agree with 95 % of the planes."""
    chosen = table.select(["sha256", "plane", "abstain_reason", "study"]).take(
        np.flatnonzero(random.random(table.num_rows) < share)
    )
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "digest", "frame", "answer_plane", "answer_abstain_reason", "verdict", "plane", "study"])
        for number, row in enumerate(chosen.to_pylist()):
            luck = random.random()
            verdict = "accepted" if luck < 0.95 else "rejected" if luck > 0.98 else "supplemented"
            given = {"accepted": row["plane"], "rejected": None, "supplemented": str(random.choice(PLANES))}[verdict]
            said = [row["sha256"], 0, row["plane"], row["abstain_reason"], verdict, given, row["study"]]
            writer.writerow([number + 1, *said])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exams", type=int, default=EXAMS)
    parser.add_argument("--nothing", action="store_true", help="a year without effects")
    options = parser.parse_args()
    write_year(options.out, options.seed, NOTHING if options.nothing else Planted(), options.exams)
