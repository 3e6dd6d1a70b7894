"""Admit uploads up to a limit on their number and bytes, so that a burst is refused and memory stays bounded.

The bytes are those of uploads and of replies that are not sent yet.
"""

from dataclasses import dataclass

from service.errors import Overloaded

_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The limits on uploads in flight."""

    uploads: int  # that are received, wait, or are worked on
    held_bytes: int  # of uploads and replies in memory; an upload alone in memory may exceed the limit


class Admission:
    """Counts uploads and the bytes held for them. Runs on the event loop only, so it needs no lock."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.uploads = 0
        self.held_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self.uploads >= self.limits.uploads

    def enter(self, declared_bytes: int) -> "Slot":
        """Return a slot for an upload of the declared length, 0 where it declares none.

        Raises Overloaded where every slot is taken, or the upload does not fit into memory next to the others.
        """
        self.check_bytes(declared_bytes)
        slot = Slot(self)
        slot.acquire()
        return slot

    def check_bytes(self, more: int) -> None:
        """Raise Overloaded where `more` bytes do not fit next to those already held."""
        if self.held_bytes and self.held_bytes + more > self.limits.held_bytes:
            raise overloaded()


class Slot:
    """The slot of one upload, from its request head to the end of its reply."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._acquired = False
        self._held_bytes = 0

    def acquire(self) -> None:
        """Take the slot, also again after `release`; raises Overloaded where none is free."""
        if not self._acquired:
            if self._admission.is_full:
                raise overloaded()
            self._admission.uploads += 1
            self._acquired = True

    def release(self) -> None:
        """Give the slot to others until `acquire`: a slow upload must not block a worker."""
        if self._acquired:
            self._admission.uploads -= 1
            self._acquired = False

    def reserve(self, count: int) -> None:
        """Count `count` more bytes of the upload; raises Overloaded where they do not fit."""
        # The upload itself may exceed the limit; only the bytes of others can push it out.
        if self._admission.held_bytes > self._held_bytes:
            self._admission.check_bytes(count)
        self._admission.held_bytes += count
        self._held_bytes += count

    def hold_reply(self, count: int) -> None:
        """Count the `count` bytes of a complete reply instead of the upload, until `close`; release the slot.

        A reply is never refused: it is in memory already. While it waits for its client, uploads are refused that do
        not fit next to it.
        """
        self._admission.held_bytes += count - self._held_bytes
        self._held_bytes = count
        self.release()

    def close(self) -> None:
        """Release the slot and the bytes."""
        self.release()
        self._admission.held_bytes -= self._held_bytes
        self._held_bytes = 0


def overloaded() -> Overloaded:
    """Return the refusal of an upload over the limits."""
    return Overloaded("The service is working at its limit.", headers={"Retry-After": str(_RETRY_AFTER_S)})
