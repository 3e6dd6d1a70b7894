"""A model before and after its improvement, frame by frame, on one set of frames after the other."""

from collections.abc import Mapping, Sequence

from model_build.evaluation.metrics import exact_interval, macro_f1, patient_bootstrap, top_k_rate
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row

_SCORES = {"top1": top_k_rate, "macro_f1": macro_f1}


def compare(sets: Mapping[str, tuple[Predictions, Predictions]]) -> list[Row]:
    """Return rows that compare two models on sets of frames; each pair is before and after, on the same frames.

    There is a row for all frames of a set, for its main planes where the planes are those of FETAL_PLANES_DB, and for
    each plane that occurs. `better` and `worse` count frames that only the second or only the first model names right.
    The interval of a difference, after minus before, is from `patient_bootstrap`.
    """
    return [
        _row(name, subset, *parts)
        for name, (before, after) in sets.items()
        for subset, parts in _subsets(before, after).items()
    ]


def _subsets(before: Predictions, after: Predictions) -> dict[str, tuple[Predictions, Predictions]]:
    subsets = {"all": (before, after)}
    if before.main and after.main:
        subsets["main"] = before.main, after.main
    for number, plane in enumerate(before.planes):
        own = before.labels == number
        if own.any():
            subsets[plane.id] = before.select(own), after.select(own)
    return subsets


def _row(name: str, subset: str, before: Predictions, after: Predictions) -> Row:
    labels, hits = before.labels, [each.predicted == each.labels for each in (before, after)]
    row: Row = {"set": name, "planes": subset, "frames": len(labels), "patients": len(set(before.patients))}
    for score, statistic in _SCORES.items():
        values = [statistic(each.probabilities, labels) for each in (before, after)]
        interval = patient_bootstrap(
            lambda old, new, true, of=statistic: of(new, true) - of(old, true),
            before.patients,
            before.probabilities,
            after.probabilities,
            labels,
        )
        row |= {f"{score}_before": values[0], f"{score}_after": values[1]}
        row |= {f"{score}_difference_low": float(interval[0]), f"{score}_difference_high": float(interval[1])}
    row |= {"better": int((hits[1] & ~hits[0]).sum()), "worse": int((hits[0] & ~hits[1]).sum())}
    row |= {"abstained_before": int(before.abstained.sum()), "abstained_after": int(after.abstained.sum())}
    return row


def reasons_against(before: Predictions, after: Predictions) -> list[str]:
    """Return a sentence for each score on a test set that falls below the 95 % interval of the model before.

    Where the model before is right on every frame, the bootstrap has no width, and the exact interval counts.
    """
    reasons = []
    for subset, (old, new) in _subsets(before, after).items():
        if subset not in ("all", "main"):
            continue
        for score, statistic in _SCORES.items():
            value, reached = (statistic(each.probabilities, old.labels) for each in (old, new))
            low = _lower_end(old, score)
            if reached < low:
                reasons.append(
                    f"{score} of {'the main planes' if subset == 'main' else 'all planes'} on the test frames falls "
                    f"from {value:.4f} to {reached:.4f}, below {low:.4f}, the lower end of the interval before."
                )
    return reasons


def _lower_end(before: Predictions, score: str) -> float:
    low = float(patient_bootstrap(_SCORES[score], before.patients, before.probabilities, before.labels)[0])
    hits = int((before.predicted == before.labels).sum())
    return min(low, exact_interval(hits, len(before.labels))[0]) if hits == len(before.labels) else low


def describe(rows: Sequence[Row]) -> list[str]:
    """Return a line for each row."""
    return [
        f"{row['set']}, {row['planes']}: top-1 {row['top1_before']:.4f} -> {row['top1_after']:.4f} "
        f"({row['better']} frames better, {row['worse']} worse, of {row['frames']}); abstained "
        f"{row['abstained_before']} -> {row['abstained_after']}"
        for row in rows
    ]
