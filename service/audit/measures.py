"""What an audit measures of each exam: completeness, items, frames, abstention, confidence, OOD score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.audit.data.exams import STATES, Exams
from service.audit.statistics.intervals import Floats
from service.schemas.protocols import Protocol

Kind = Literal["complete", "item", "frames", "abstention", "confidence", "ood"]


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One number per exam.

    Attributes
    ----------
    kind, label
        What it is; as people read it.
    values
        One per exam; NaN where it says nothing.
    is_share
        Whether each value is 0 or 1, so that a group's mean is the share of its exams, with exact intervals.
    protocol, item
        Which protocol and item it belongs to.
    """

    kind: Kind
    label: str
    values: Floats
    is_share: bool = False
    protocol: str | None = None
    item: str | None = None

    def show(self, value: float) -> str:
        """Return a value as people read it."""
        if np.isnan(value):
            return ""
        if self.is_share or self.kind in ("abstention", "confidence"):
            return f"{100 * value:.1f} %"
        return f"{value:.1f}" if self.kind == "frames" else f"{value:.3f}"


def measures(exams: Exams, protocols: Sequence[Protocol]) -> list[Measure]:
    """Return the measures of the exams, those of protocols first."""
    frames = exams.frames.astype(np.float64)
    return [
        *(each for protocol in protocols for each in _of_protocol(exams, protocol)),
        Measure("frames", "Frames per exam", frames),
        Measure("abstention", "Share of frames on which the model abstains", exams.abstained / frames),
        Measure("confidence", "Mean probability of the first plane", exams.confidence),
        Measure("ood", "Mean OOD score", exams.ood),
    ]


def _of_protocol(exams: Exams, protocol: Protocol) -> Iterator[Measure]:
    complete = exams.complete(protocol).astype(np.float64)
    yield Measure("complete", f"Complete exams ({protocol.name})", complete, is_share=True, protocol=protocol.id)
    for item, state in zip(protocol.items, exams.items[protocol.id], strict=True):
        fulfilled = (state == STATES.index("fulfilled")).astype(np.float64)
        label = f"Exams with {item.label} ({protocol.name})"
        yield Measure("item", label, fulfilled, is_share=True, protocol=protocol.id, item=item.label)
