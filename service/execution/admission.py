"""Who is let in: so many uploads at once and so many bytes, so that a burst meets a refusal and not a full memory."""

from dataclasses import dataclass

from service.errors import Overloaded

_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much is taken in at once.

    Attributes
    ----------
    places
        Uploads worked on, waiting, or coming in.
    held_bytes
        Bytes of uploads held for them. A single upload may be longer where nothing else is held.
    """

    places: int
    held_bytes: int


class Admission:
    """Gives out places, and refuses where there are none left. Used on the event loop alone, hence without a lock."""

    def __init__(self, bounds: AdmissionLimits) -> None:
        self.bounds = bounds
        self.taken = 0
        self.held = 0

    def enter(self, declared_bytes: int) -> "Slot":
        """Take a place for an upload of the length that its head declares, or 0.

        Raises
        ------
        Overloaded
            There is none, or the upload would not fit among the others.
        """
        self.check_bytes(declared_bytes)
        place = Slot(self)
        place.acquire()
        return place

    def check_bytes(self, more: int) -> None:
        """Refuse bytes that do not fit beside those held already; raises `Overloaded`."""
        if self.held and self.held + more > self.bounds.held_bytes:
            raise overloaded()

    def check_places(self) -> None:
        """Refuse where all places are taken; raises `Overloaded`."""
        if self.taken >= self.bounds.places:
            raise overloaded()


class Slot:
    """One upload's place, from its head to its answer."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._taken = False
        self._held = 0

    def acquire(self) -> None:
        """Take the place, or take it again after `lend`; raises `Overloaded` where none is left."""
        if not self._taken:
            self._admission.check_places()
            self._admission.taken += 1
            self._taken = True

    def release(self) -> None:
        """Let others have the place meanwhile: the upload comes so slowly that waiting for it would be a waste."""
        if self._taken:
            self._admission.taken -= 1
            self._taken = False

    def reserve(self, count: int) -> None:
        """Note that `count` more bytes of the upload have come; raises `Overloaded` where they do not fit."""
        if self._admission.held > self._held:  # others hold some
            self._admission.check_bytes(count)
        self._admission.held += count
        self._held += count

    def close(self) -> None:
        """Give back place and bytes."""
        self.release()
        self._admission.held -= self._held
        self._held = 0


def overloaded() -> Overloaded:
    """The refusal of one upload too many."""
    return Overloaded("Too much is being worked on.", headers={"Retry-After": str(_RETRY_AFTER_S)})
