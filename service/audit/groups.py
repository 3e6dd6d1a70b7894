"""Group exams, and hide the groups that are too small to be shown.

A hidden group must not follow from the numbers of the others: the totals of all exams and of each site are shown, too.
So wherever a group of a site is hidden, at least two are, and together they have at least the least number of exams.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.audit.data.exams import UNKNOWN, Exams

_NESTED = ("machine", "operator")  # each belongs to a site


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """The groups of one dimension.

    Attributes
    ----------
    dimension
        `site`, `machine`, `operator` or `month`.
    names
        Of the groups, sorted.
    codes
        The number of each exam's group.
    sizes
        The number of exams of each group.
    parents
        The name of each group's site; equal for groups that have none.
    shown
        Which groups are shown and compared.
    """

    dimension: str
    names: list[str]
    codes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    parents: list[str]
    shown: NDArray[np.bool_]

    @property
    def hidden(self) -> int:
        """The number of hidden groups."""
        return int((~self.shown).sum())


def group_exams(exams: Exams, dimension: str, min_group: int) -> Grouping | None:
    """Return the groups of a dimension; None where no exam states its group."""
    names, codes = np.unique(exams.groups[dimension], return_inverse=True)
    if list(names) in ([], [UNKNOWN]):
        return None
    sizes = np.bincount(codes)
    parents = _parents(exams, codes, len(names)) if dimension in _NESTED else [""] * len(names)
    shown = hide_small(sizes, np.array(parents, dtype=object), min_group)
    return Grouping(dimension, [str(each) for each in names], codes, sizes, parents, shown)


def _parents(exams: Exams, codes: NDArray[np.int64], count: int) -> list[str]:
    """Return the most frequent site of each group."""
    sites, numbers = np.unique(exams.groups["site"], return_inverse=True)
    uses = np.zeros((count, len(sites)), np.int64)
    np.add.at(uses, (codes, numbers), 1)
    return [str(sites[each]) for each in uses.argmax(axis=1)]


def hide_small(sizes: NDArray[np.int64], parents: NDArray[Any], min_group: int) -> NDArray[np.bool_]:
    """Return which groups are shown: of each parent all, or all but two or more with `min_group` exams together."""
    shown = sizes >= min_group
    for parent in set(parents):
        members = np.flatnonzero(parents == parent)
        for smallest in members[np.argsort(sizes[members], kind="stable")]:
            hidden = members[~shown[members]]
            if not len(hidden) or (len(hidden) > 1 and sizes[hidden].sum() >= min_group):
                break
            shown[smallest] = False
    return shown


def hide_cells(sizes: NDArray[np.int64], min_group: int) -> NDArray[np.bool_]:
    """Return which cells of a table [rows, columns] are shown, given that the sums of rows and columns are.

    A hidden cell has another one in its row and in its column, so no difference with a sum gives it away. Empty cells
    are as they are: nothing to hide.
    """
    shown = sizes >= min_group
    filled = sizes > 0
    while True:
        before = shown.copy()
        for axis in (0, 1):
            lines, visible, inside = (each if axis == 0 else each.T for each in (sizes, shown, filled))
            for line, seen, present in zip(lines, visible, inside, strict=True):
                hidden = present & ~seen
                if hidden.sum() == 1 and (seen & present).any():
                    seen[np.flatnonzero(seen & present)[line[seen & present].argmin()]] = False
        if (shown == before).all():
            return shown & filled
