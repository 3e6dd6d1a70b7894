"""Write probabilities, states and reasons for people; `service/web/text.js` writes the same in the page."""

from decimal import ROUND_HALF_UP, Decimal

from service.schemas.answers import SubPlane, SubPlaneReason
from service.schemas.exam import ReviewReason
from service.schemas.protocols import ItemState

_LOW, _HIGH = 0.001, 0.999

REASONS: dict[ReviewReason, str] = {
    "color-flow": "Color flow",
    "out-of-distribution": "Unknown view",
    "uncertain": "Between two planes",
    "close": "A second plane is close",
    "no-plane": "No plane in this loop",
}
"""Why a person should check a frame or a loop."""

ITEM_STATES: dict[ItemState, str] = {
    "fulfilled": "Fulfilled",
    "doubtful": "Only doubtful frames",
    "missing": "Missing",
    "not-read-yet": "Not read yet",
}
"""What became of an item of a protocol."""

GUESSES: frozenset[ReviewReason] = frozenset(("uncertain", "close"))
"""Reasons that still let the probabilities mean something; for the others no plane is named."""


def percent(probability: float) -> str:
    """Return a probability 0..1 in percent, never as 0 % or 100 %, because a model is never certain."""
    if probability < _LOW:
        return "< 0.1 %"
    if probability > _HIGH:
        return "> 99.9 %"
    return f"{Decimal(probability * 100).quantize(Decimal('0.1'), ROUND_HALF_UP)} %"


def count(number: int, one: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def left_text(left: int, total: int) -> str:
    """Return how much of an exam is not read yet."""
    return f"{left} of {count(total, 'file')} left"


def unnamed_text(abstained: int, frames: int) -> str:
    """Return why a segment or a loop names no plane: the frames without an answer, or answers that disagree."""
    if 2 * abstained > frames:
        return f"{abstained} of {count(frames, 'frame')} not sure"
    return "the frames do not agree"


def sub_plane_text(sub_plane: SubPlane | None, reason: SubPlaneReason | None) -> str:
    """Return the name of a sub-plane, or that it is not sure which one it is; empty without one."""
    if reason == "close":
        return "Not sure which sub-plane"
    return sub_plane.label if sub_plane else ""
