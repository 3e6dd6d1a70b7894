"""Check the frames of an exam against the items of a protocol. `service/web/protocol.js` follows the same rules."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from service.schemas.answers import SubPlane
from service.schemas.batch import Source
from service.schemas.protocols import CheckedItem, Doubt, ItemFrame, ItemPlane, ItemState, ProtocolItem


class Candidate(NamedTuple):
    """A frame of an exam whose plane has a name.

    Attributes
    ----------
    source, plane, probability
        Where it is; its most probable plane.
    sub_plane, sub_plane_close
        Its sub-plane, if one is named; whether none is because two are close.
    doubt
        Why its plane is doubtful: `uncertain` or `close`.
    """

    source: Source
    plane: str
    probability: float
    sub_plane: SubPlane | None = None
    sub_plane_close: bool = False
    doubt: Doubt | None = None


def check_items(items: Sequence[ProtocolItem], candidates: Sequence[Candidate], files_left: int) -> list[CheckedItem]:
    """Return each item with its state and frames; `files_left` is the number of files not read to their end."""
    return [_check(item, candidates, files_left) for item in items]


def fits(item: ProtocolItem, candidate: Candidate) -> ItemFrame | None:
    """Return what a frame is for an item: one that counts, one with a doubt, or None."""
    found = list(_fits(item.one_of, candidate))
    return min(found, key=lambda frame: frame.doubt is not None, default=None)  # the first of equal ones


def _check(item: ProtocolItem, candidates: Iterable[Candidate], files_left: int) -> CheckedItem:
    found = [frame for each in candidates if (frame := fits(item, each)) is not None]
    found.sort(key=lambda frame: (-frame.probability, frame.source.file, frame.source.frame or 0))
    sure = [frame for frame in found if frame.doubt is None]
    doubtful = [frame for frame in found if frame.doubt is not None]
    return CheckedItem(
        **dict(item), state=_state(item.min, len(sure), len(doubtful), files_left), frames=sure, doubtful=doubtful
    )


def _state(least: int, sure: int, doubtful: int, files_left: int) -> ItemState:
    if sure >= least:
        return "fulfilled"
    if files_left:
        return "not-read-yet"
    return "doubtful" if sure + doubtful >= least else "missing"


def _fits(one_of: Iterable[ItemPlane], frame: Candidate) -> Iterator[ItemFrame]:
    for each in one_of:
        if each.plane != frame.plane:
            continue
        probability, doubt, sub_plane = frame.probability, frame.doubt, frame.sub_plane
        if each.sub_plane is not None:
            if sub_plane is None and not (frame.sub_plane_close or doubt == "uncertain"):
                continue  # the model did not look for a sub-plane
            if sub_plane is None:
                doubt = doubt or "sub-plane"
            elif sub_plane.plane != each.sub_plane:
                continue
            else:
                probability *= sub_plane.probability
        yield ItemFrame(
            source=frame.source, plane=each.plane, sub_plane=each.sub_plane, probability=probability, doubt=doubt
        )
