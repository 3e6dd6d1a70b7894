"""Deliver results: again with back-off while the destination is not to be reached, and not for ever.

A result is deleted after its destination has acknowledged it. A listener that is killed in between sends it once more,
with the same UID and the same bytes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic, time

from service.jobs.listener.ledger import Delivery, Kind
from service.jobs.listener.network.senders import Attempt, Sender
from service.jobs.listener.spool import Spool
from service.observability.listener_metrics import ListenerMetrics

_LOG = logging.getLogger("fetal_planes.listener")
_BATCH = 50
_IDLE_S = 1.0
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 300.0
_MAX_REFUSALS = 5


class Deliveries:
    """Sends what waits in the outbox of a spool to the senders of its kinds."""

    def __init__(
        self, spool: Spool, senders: Mapping[Kind, Sender], give_up_s: float, metrics: ListenerMetrics
    ) -> None:
        self._spool, self._senders, self._metrics = spool, senders, metrics
        self._give_up_s = give_up_s
        self._failures: dict[Kind, int] = dict.fromkeys(senders, 0)
        self._next: dict[Kind, float] = dict.fromkeys(senders, 0.0)  # by the monotonic clock

    def step(self) -> float:
        """Send what is due; return the seconds to wait."""
        now, waiting, more = time(), self._spool.deliveries(), False
        for kind in self._senders:
            mine = [each for each in waiting if each.kind == kind and each.due <= now]
            if mine and monotonic() >= self._next[kind]:
                more |= self._send(kind, mine[:_BATCH]) and len(mine) > _BATCH
        for each in waiting:
            if each.kind not in self._senders:
                self._bury(each, "no destination is configured for it any more")
        return 0.0 if more else _IDLE_S

    def _send(self, kind: Kind, batch: Sequence[Delivery]) -> bool:
        """Send a batch; return whether the destination was reached."""
        contents = dict(self._read(batch))
        if not contents:
            return True
        found = [each for each in batch if each.name in contents]
        for delivery, attempt in zip(found, self._senders[kind].send(list(contents.items())), strict=False):
            self._metrics.count_delivery(kind, attempt.end)
            if attempt.end == "delivered":
                self._spool.end_delivery(delivery)
            elif attempt.end == "refused":
                self._refuse(delivery, attempt)
            else:
                self._wait(kind, attempt, batch)
                return False
        self._failures[kind] = 0
        return True

    def _read(self, batch: Sequence[Delivery]) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of results; one without its file is given up, and holds up no other."""
        for each in batch:
            try:
                yield each.name, self._spool.result_path(each.name).read_bytes()
            except FileNotFoundError:
                self._bury(each, "its file has disappeared from the spool")

    def _refuse(self, delivery: Delivery, attempt: Attempt) -> None:
        """Try a refused result some more times: the configuration of its destination may be what is wrong."""
        refusals = delivery.refusals + 1
        if refusals >= _MAX_REFUSALS:
            self._bury(delivery._replace(attempts=delivery.attempts + 1), attempt.reason)
            return
        due = time() + min(_LAST_RETRY_S, _FIRST_RETRY_S * 4**refusals)
        self._spool.ledger.postpone(delivery._replace(due=due, attempts=delivery.attempts + 1, refusals=refusals))

    def _wait(self, kind: Kind, attempt: Attempt, batch: Sequence[Delivery]) -> None:
        """Note that a destination is not to be reached, and give up what has waited too long."""
        self._failures[kind] += 1
        wait_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** (self._failures[kind] - 1))
        self._next[kind] = monotonic() + wait_s
        _LOG.warning(
            "results cannot be delivered", extra={"kind": kind, "reason": attempt.reason, "next_attempt_s": wait_s}
        )
        for each in batch:
            if time() - each.created > self._give_up_s:
                self._bury(each, attempt.reason)
            else:
                self._spool.ledger.postpone(each._replace(attempts=each.attempts + 1))

    def _bury(self, delivery: Delivery, reason: str) -> None:
        self._metrics.count_delivery(delivery.kind, "dead")
        _LOG.error("a result is given up", extra={"result": delivery.name, "kind": delivery.kind, "reason": reason})
        self._spool.bury(delivery, reason)
