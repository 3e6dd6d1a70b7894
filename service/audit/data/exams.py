"""Turn frames into exams: one row each, with what the groups need, and the items of each protocol.

An item is fulfilled by the rules of `service.analysis.protocols.check`, as in `/exam`; here they are SQL, because two
million frames as objects would take a minute. `tests/unit/service/audit/test_items.py` holds both to each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.analysis.abstention import CLOSE
from service.audit.data.session import Session, text
from service.schemas.protocols import ItemPlane, Protocol, ProtocolItem

DIMENSIONS = ("site", "machine", "operator", "month")
"""What exams are grouped by."""

STATES = ("missing", "doubtful", "fulfilled")
"""States of an item; its code is the index."""

UNKNOWN = "not stated"
"""The group of exams that state none."""


class ExamCounts(NamedTuple):
    """Numbers about the making of exams, for the notes of the audit."""

    frames: int
    duplicates: int
    unnamed: int  # exams without a study: a folder each
    months: int  # exams with frames of several months
    groups: int  # exams with several machines, operators or sites
    models: int  # exams with answers of several models
    planes: list[tuple[str, int]]  # frames by the plane that is named
    reasons: list[tuple[str, int]]  # frames by the reason for abstaining


@dataclass(frozen=True, slots=True)
class Exams:
    """The exams of an audit as columns; row by row, they belong together.

    Attributes
    ----------
    names
        The keyed hash of each study; without one, a number in the order of folders.
    groups
        The group of each exam, by dimension; a group that is not stated is `not stated`.
    frames, abstained, answered
        Numbers of frames; `answered` are those with a plane.
    confidence, ood
        Means over the frames that they say something about; NaN without any.
    items
        The state of each item, by protocol and item.
    counts
        What the notes say.
    """

    names: NDArray[Any]
    groups: dict[str, NDArray[Any]]
    model: NDArray[Any]
    frames: NDArray[np.int64]
    abstained: NDArray[np.int64]
    answered: NDArray[np.int64]
    confidence: NDArray[np.float64]
    ood: NDArray[np.float64]
    items: dict[str, list[NDArray[np.int64]]]
    counts: ExamCounts

    def __len__(self) -> int:
        return len(self.frames)

    def worst(self, protocol: Protocol) -> NDArray[np.int64]:
        """Return the worst state of the required items of each exam; fulfilled where none is required."""
        items = zip(protocol.items, self.items[protocol.id], strict=True)
        required = [state for item, state in items if not item.optional]
        return np.min(required, axis=0) if required else np.full(len(self), STATES.index("fulfilled"))

    def complete(self, protocol: Protocol) -> NDArray[np.bool_]:
        """Return which exams fulfill every required item."""
        return np.asarray(self.worst(protocol) == STATES.index("fulfilled"))


def read_exams(session: Session, protocols: Sequence[Protocol]) -> Exams:
    """Return the exams of the table `frame`; the table `exam` holds them for queries."""
    duplicates = _drop_duplicates(session)
    session.run(_EXAM)
    session.run(_CANDIDATE)
    for protocol in protocols:
        session.run(f"CREATE TABLE {_items_table(protocol)} AS {items_query(protocol)}")
    joins = "".join(f" LEFT JOIN {_items_table(each)} USING (exam)" for each in protocols)
    found = session.arrays(f"SELECT * FROM exam{joins} ORDER BY exam")  # noqa: S608 (quoted names)
    return Exams(
        names=found["name"],
        groups={each: _named(found[each]) for each in DIMENSIONS},
        model=found["model"],
        frames=found["frames"].astype(np.int64),
        abstained=found["abstained"].astype(np.int64),
        answered=found["answered"].astype(np.int64),
        confidence=found["confidence"].astype(np.float64),
        ood=found["ood"].astype(np.float64),
        items={each.id: _states(found, each) for each in protocols},
        counts=_count(session, duplicates),
    )


def _named(column: NDArray[Any]) -> NDArray[Any]:
    return np.array([each if isinstance(each, str) and each else UNKNOWN for each in column], dtype=object)


def _states(found: dict[str, NDArray[Any]], protocol: Protocol) -> list[NDArray[np.int64]]:
    columns = (found[item_column(protocol, number)] for number in range(len(protocol.items)))
    return [np.nan_to_num(column.astype(np.float64)).astype(np.int64) for column in columns]


# The same frame twice: a job that ran again over the same files, a file in two copies, or two models. Exact
# comparisons cost much memory, so a hash first tells whether there is any. The model with most rows counts.
_KEY = "hash(exam, coalesce(digest, file), frame)"


def _drop_duplicates(session: Session) -> int:
    """Delete all but one row of each frame of an exam; return how many were deleted."""
    rows, different = session.rows(f"SELECT count(*), count(DISTINCT {_KEY}) FROM frame")[0]  # noqa: S608
    if rows == different:
        return 0
    session.run(f"CREATE TEMP TABLE twice AS SELECT {_KEY} AS key FROM frame GROUP BY ALL HAVING count(*) > 1")  # noqa: S608
    session.run("CREATE TEMP TABLE model_rank AS SELECT model, count(*) AS uses FROM frame GROUP BY model")
    session.run(
        f"""CREATE TEMP TABLE dropped AS SELECT row FROM (
            SELECT frame.rowid AS row, row_number() OVER (
                PARTITION BY exam, coalesce(digest, file), frame.frame ORDER BY uses DESC, model, file, frame.rowid
            ) AS copy FROM frame JOIN model_rank USING (model) WHERE {_KEY} IN (SELECT key FROM twice)
        ) WHERE copy > 1"""  # noqa: S608 (fixed text)
    )
    session.run("DELETE FROM frame WHERE rowid IN (SELECT row FROM dropped)")
    return session.count("SELECT count(*) FROM dropped")


# Probabilities mean nothing where a frame is out of distribution, and the score means nothing with color flow.
_EXAM = """
CREATE TABLE exam AS SELECT
    exam, min(study) IS NULL AS unnamed,
    coalesce(min(study), 'folder ' || row_number() OVER (PARTITION BY min(study) IS NULL ORDER BY min(folder))) AS name,
    mode(site) AS site, mode(machine) AS machine, mode(operator) AS operator, min(month) AS month, mode(model) AS model,
    count(*) AS frames, count(reason) AS abstained, count(*) - count(reason) AS answered,
    avg(probability) FILTER (coalesce(reason, 'uncertain') = 'uncertain') AS confidence,
    avg(ood) FILTER (reason IS DISTINCT FROM 'color-flow') AS ood,
    max(month) > min(month) AS several_months, max(model) > min(model) AS several_models,
    max(site) > min(site) OR max(machine) > min(machine) OR max(operator) > min(operator) AS several_groups
FROM frame GROUP BY exam"""

# A loop counts by its most probable frame of each plane, as in `/exam`; a still by itself, perhaps with a doubt.
_CANDIDATE = f"""
CREATE VIEW candidate AS
SELECT exam, plane, sub_plane, sub_close, reason = 'uncertain' AS uncertain,
    reason IS NOT NULL OR probability - "second" < {CLOSE} AS doubtful
FROM frame WHERE NOT loop AND NOT no_plane AND coalesce(reason, 'uncertain') = 'uncertain'
UNION ALL
SELECT exam, plane, best.sub_plane, best.sub_close, false, false FROM (
    SELECT exam, plane, arg_max(struct_pack(sub_plane := sub_plane, sub_close := sub_close), probability) AS best
    FROM frame WHERE loop AND NOT no_plane AND reason IS NULL GROUP BY exam, file, plane
)"""  # noqa: S608 (a number)


def _items_table(protocol: Protocol) -> str:
    return f'"items of {protocol.id}"'


def item_column(protocol: Protocol, number: int) -> str:
    """Return the column of an item's state."""
    return f"{protocol.id}:{number}"


def items_query(protocol: Protocol) -> str:
    """Return a query with the code of each item's state, for each exam with a candidate."""
    columns = ", ".join(
        f'{_state(item)} AS "{item_column(protocol, number)}"' for number, item in enumerate(protocol.items)
    )
    return f"SELECT exam, {columns} FROM candidate GROUP BY exam"  # noqa: S608 (ids are checked, names quoted)


def _state(item: ProtocolItem) -> str:
    sure = " OR ".join(_sure(each) for each in item.one_of)
    fits = " OR ".join(_fits(each) for each in item.one_of)
    return (
        f"CASE WHEN count(*) FILTER (NOT doubtful AND ({sure})) >= {item.min} THEN {STATES.index('fulfilled')}"
        f" WHEN count(*) FILTER ({fits}) >= {item.min} THEN {STATES.index('doubtful')}"
        f" ELSE {STATES.index('missing')} END"
    )


def _sure(choice: ItemPlane) -> str:
    finer = "" if choice.sub_plane is None else f" AND sub_plane = {text(choice.sub_plane)}"
    return f"(plane = {text(choice.plane)}{finer})"


def _fits(choice: ItemPlane) -> str:
    if choice.sub_plane is None:
        return _sure(choice)
    open_ = "sub_plane IS NULL AND (sub_close OR uncertain)"  # the model looked for a sub-plane and names none
    return f"(plane = {text(choice.plane)} AND (sub_plane = {text(choice.sub_plane)} OR ({open_})))"


def _count(session: Session, duplicates: int) -> ExamCounts:
    ((frames, *others),) = session.rows(
        """SELECT coalesce(sum(frames), 0), count(*) FILTER (unnamed), count(*) FILTER (several_months),
            count(*) FILTER (several_groups), count(*) FILTER (several_models) FROM exam"""
    )
    unnamed, months, groups, models = map(int, others)
    planes = session.rows("SELECT plane, count(*) FROM frame WHERE reason IS NULL GROUP BY plane ORDER BY plane")
    reasons = session.rows("SELECT reason, count(*) FROM frame WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1")
    return ExamCounts(int(frames), duplicates, unnamed, months, groups, models, planes, reasons)
