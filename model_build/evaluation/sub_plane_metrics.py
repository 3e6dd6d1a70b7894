"""How well sub-planes are told: of each, and of all; by the shape that the frames came in, and by machine."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from model_build.data.labels import SUB_PLANES
from model_build.data.records import Record
from model_build.evaluation.metrics import calibration_error, exact_interval, macro_f1, patient_bootstrap
from model_build.evaluation.predictions import Row

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


def of_each(probabilities: Floats, labels: Ints, patients: Sequence[str]) -> list[Row]:
    """One row a sub-plane: recall with its exact interval, precision, F1 with one from drawing whole patients."""
    predicted = probabilities.argmax(1)
    rows: list[Row] = []
    for number, plane in enumerate(SUB_PLANES):
        own = labels == number
        hits, claimed = int((predicted[own] == number).sum()), int((predicted == number).sum())
        low, high = exact_interval(hits, int(own.sum()))
        interval = patient_bootstrap(partial(_f1_of, predicted, labels, number), patients)
        rows.append(
            {
                "sub_plane": plane.label,
                "frames": int(own.sum()),
                "patients": len({patient for patient, mine in zip(patients, own, strict=True) if mine}),
                "right": hits,
                "recall": hits / max(1, int(own.sum())),
                "recall_low": low,
                "recall_high": high,
                "precision": hits / claimed if claimed else float("nan"),
                "f1": _f1(predicted, labels, number),
                "f1_low": interval.low,
                "f1_high": interval.high,
            }
        )
    return rows


def of_all(probabilities: Floats, labels: Ints, patients: Sequence[str]) -> Row:
    """Macro-F1 and accuracy with intervals from drawing whole patients, and the calibration error."""
    hits = probabilities.argmax(1) == labels
    f1 = patient_bootstrap(lambda rows: macro_f1(probabilities[rows], labels[rows]), patients)
    accuracy = patient_bootstrap(lambda rows: float(hits[rows].mean()), patients)
    return {
        "frames": len(labels),
        "patients": len(set(patients)),
        "macro_f1": macro_f1(probabilities, labels),
        "macro_f1_low": f1.low,
        "macro_f1_high": f1.high,
        "accuracy": float(hits.mean()),
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "calibration_error": calibration_error(probabilities, labels),
    }


def of_parts(probabilities: Floats, labels: Ints, records: Sequence[Record]) -> list[Row]:
    """The same for the frames that kept their shape and those that were stretched, and for each machine."""
    parts = {
        "own shape": [not record.stretched for record in records],
        "stretched": [record.stretched for record in records],
        **{name: [record.scanner == name for record in records] for name in {record.scanner for record in records}},
    }
    rows: list[Row] = []
    for name, wanted in sorted(parts.items()):
        mine = np.flatnonzero(wanted)
        if mine.size:
            patients = [records[int(row)].patient for row in mine]
            rows.append({"part": name, **of_all(probabilities[mine], labels[mine], patients)})
    return rows


def _f1_of(predicted: Ints, labels: Ints, number: int, rows: Ints) -> float:
    return _f1(predicted[rows], labels[rows], number)


def _f1(predicted: Ints, labels: Ints, number: int) -> float:
    hits = int(((predicted == number) & (labels == number)).sum())
    return 2 * hits / max(1, int((predicted == number).sum()) + int((labels == number).sum()))
