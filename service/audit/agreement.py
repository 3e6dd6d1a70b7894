"""Agreement of the model with the corrections of people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.audit.data.corrections import ABSTAINED, NONE, Corrected
from service.audit.statistics.agreement import Kappa, cross_table, kappa
from service.audit.statistics.intervals import Floats, clopper_pearson
from service.schemas.manifest import Manifest


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What people said about the model's planes.

    Attributes
    ----------
    frames, exams
        Numbers of corrected frames, and of their exams.
    rows, columns, table
        The labels of the model and of people, and how often they meet.
    planes, named, agreed, low, high
        For each plane that the model named: how often, how often people agree, and the exact 95 % interval.
    kappa
        Of the frames on which the model does not abstain.
    """

    frames: int
    exams: int
    rows: list[str]
    columns: list[str]
    table: NDArray[np.int64]
    planes: list[str]
    named: NDArray[np.int64]
    agreed: NDArray[np.int64]
    low: Floats
    high: Floats
    kappa: Kappa


def find_agreement(corrected: Corrected | None, manifest: Manifest, min_group: int) -> Agreement | None:
    """Return the agreement; None without corrections of enough exams."""
    if corrected is None or len(np.unique(corrected.exam)) < max(1, min_group):
        return None
    known = [plane.id for plane in manifest.planes]
    foreign = sorted({*corrected.model, *corrected.person} - {*known, ABSTAINED, NONE})  # of another model
    labels = [*known, *foreign, NONE, ABSTAINED]
    number = {label: index for index, label in enumerate(labels)}
    model, person = (np.array([number[each] for each in side]) for side in (corrected.model, corrected.person))
    table = cross_table(model, person, len(labels))
    named = model != number[ABSTAINED]
    rows = [index for index in range(len(labels)) if table[index].any()]
    columns = [index for index in range(len(labels)) if table[:, index].any()]
    planes = [index for index in rows if index < len(known) + len(foreign)]
    total, agreed = table.sum(axis=1)[planes], np.diag(table)[planes]
    low, high = clopper_pearson(agreed, total)
    return Agreement(
        frames=len(model), exams=len(np.unique(corrected.exam)),
        rows=[labels[index] for index in rows], columns=[labels[index] for index in columns],
        table=table[np.ix_(rows, columns)], planes=[labels[index] for index in planes], named=total, agreed=agreed,
        low=low, high=high, kappa=kappa(model[named], person[named], corrected.exam[named], len(labels)),
    )  # fmt: skip
