"""How well a network transfers to a scanner that it was not trained on."""

from collections.abc import Sequence
from pathlib import Path

from model_build.data.labels import main_planes
from model_build.data.records import DataError, planes_of
from model_build.evaluation.metrics import macro_f1
from model_build.evaluation.tables import Row, top1_columns
from model_build.experiments.holdout import Study
from model_build.recipe import Recipe


def leave_one_scanner_out(recipe: Recipe, data: Path, out: Path, scanners: Sequence[str], device: str) -> list[Row]:
    """Train without each scanner, score its frames and return one row per scanner.

    Only the train split is used. Where the four main planes of FETAL_PLANES_DB exist, only they are scored. Patients
    of the scanner are left out of training with all their frames.

    Raises
    ------
    DataError
        A scanner has no frame to score.
    """
    study = Study(data, out, device)
    planes, records = study.data.planes, study.data.side("train")
    scored = main_planes([plane.id for plane in planes]) or range(len(planes))
    unknown = sorted(set(scanners) - {record.scanner for record in records if record.plane in scored})
    if unknown:
        known = ", ".join(sorted({record.scanner for record in records}))
        raise DataError(f"no training frame is from scanner {', '.join(unknown)}; the data set has: {known}")
    rows: list[Row] = []
    for scanner in scanners:
        val = [record for record in records if record.scanner == scanner and record.plane in scored]
        patients = {record.patient for record in records if record.scanner == scanner}
        rest = [record for record in records if record.patient not in patients]
        probabilities, labels = study.predict(recipe, rest, val, scanner.lower().replace(" ", "-")), planes_of(val)
        scores = top1_columns(probabilities, labels) | {"macro_f1": macro_f1(probabilities, labels)}
        rows.append({"scanner": scanner, "train_frames": len(rest), **scores})
    return rows
