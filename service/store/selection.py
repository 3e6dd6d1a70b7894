"""Which corrections a page shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """The corrections of a page.

    Attributes
    ----------
    after, limit
        The page begins after this id, and has at most so much.
    latest
        Only the last correction of each frame.
    study, patient
        An identifier or its keyed hash; None for all.
    """

    after: int
    limit: int
    latest: bool = False
    study: str | None = None
    patient: str | None = None
