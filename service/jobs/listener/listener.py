"""Run a listener: the server, the work on what it receives, and the delivery of results."""

import logging
import threading
from contextlib import ExitStack
from time import monotonic, time

from service.analysis.pipeline import Pipeline
from service.jobs.listener.delivery import Deliveries
from service.jobs.listener.frames import FrameResults
from service.jobs.listener.ledger import Kind, ObjectState
from service.jobs.listener.loop import Loop
from service.jobs.listener.network.receiving import Session
from service.jobs.listener.network.senders import Sender, WebhookSender, open_sender
from service.jobs.listener.network.server import DicomServer
from service.jobs.listener.options import ListenerOptions
from service.jobs.listener.spool import Spool
from service.jobs.listener.studies import Studies
from service.observability.listener_metrics import ListenerMetrics

_LOG = logging.getLogger("fetal_planes.listener")
_FORGET_EVERY_S = 3600.0


class Listener:
    """A listener, from `start` to `stop`; raises `JobError` if a folder, an address or a destination cannot be used.

    With results per frame, objects go from `received` to `analyzed` as their results are written, and are done with
    their study, or at once if nobody needs the study. Without, they stay `received` until their study is complete.
    """

    def __init__(self, options: ListenerOptions, pipeline: Pipeline) -> None:
        self.options = options
        self.metrics = ListenerMetrics()
        results, self._loops = options.results, list[Loop]()
        senders: dict[Kind, Sender] = {}
        if results.destination is not None:
            senders["dicom"] = open_sender(results.destination, options.server.ae_title)
        if options.studies.webhook is not None:
            senders["webhook"] = WebhookSender(options.studies.webhook)
        with ExitStack() as stack:
            self.spool = Spool(options.spool, options.spool_bytes)
            stack.callback(self.spool.close)
            self.server = DicomServer(options.server, self.spool, self._end_association)
            per_frame = results.destination is not None and results.per == "frame"
            if per_frame:
                frames = FrameResults(self.spool, pipeline, results, options.threads, self.metrics)
                state: ObjectState = "analyzed" if options.keeps_studies else "done"
                self._loops.append(Loop("frames", lambda: frames.step(state)))
            self._adopt(per_frame=per_frame)
            if options.keeps_studies:
                ready: ObjectState = "analyzed" if per_frame else "received"
                studies = Studies(self.spool, pipeline, options, self.metrics, ready)
                self._loops.append(Loop("studies", studies.step))
            deliveries = Deliveries(self.spool, senders, results.give_up_s, self.metrics)
            self._loops += [Loop("deliveries", deliveries.step), Loop("forget", self._forget)]
            self._watch()
            self._closing = stack.pop_all()

    def start(self) -> None:
        """Begin to work on what is in the spool, then to listen."""
        for loop in self._loops:
            loop.start()
        try:
            self.server.start()
        except BaseException:
            self.stop()
            raise
        _LOG.info("listening", extra={"ae_title": self.options.server.ae_title, "port": self.server.port})

    def stop(self) -> None:
        """Accept nothing more, finish the steps in progress, and free the spool; what is left stays in it."""
        self.server.stop()
        for loop in self._loops:
            loop.stop()
        self.close()

    def close(self) -> None:
        """Free the spool of a listener that was not started."""
        self._closing.close()

    def run(self, stopped: threading.Event) -> None:
        """Listen until an event."""
        self.start()
        try:
            stopped.wait()
        finally:
            self.stop()

    def _adopt(self, *, per_frame: bool) -> None:
        """Give objects that waited for their study, under other options, the state that they have under these."""
        waiting = [each.key for each in self.spool.ledger.objects("analyzed")]
        if not self.options.keeps_studies:
            self.spool.complete(waiting, [], "done")
        elif not per_frame:
            self.spool.ledger.move(waiting, "received")

    def _end_association(self, session: Session) -> None:
        self.metrics.count_association(session.ended, session.counts)
        details = {
            "host": session.host, "calling": session.calling, "end": session.ended, "bytes": session.size,
            "seconds": round(monotonic() - session.started, 3),
        }  # fmt: skip
        if not session.calling:
            return  # a probe of the port
        _LOG.info("association", extra=details | session.counts)
        if session.counts:
            self._loops[0].wake()

    def _forget(self) -> float:
        self.spool.forget_old()
        return _FORGET_EVERY_S

    def _watch(self) -> None:
        spool, ledger = self.spool, self.spool.ledger
        self.metrics.watch(
            {
                "listener_associations_open": lambda: self.server.associations,
                "listener_spool_bytes": lambda: spool.used_bytes,
                "listener_spool_allowed_bytes": lambda: spool.max_bytes,
                "listener_spool_objects": lambda: len(ledger.objects("received", "analyzed")),
                "listener_spool_oldest_seconds": lambda: _age([each.received for each in ledger.objects("received")]),
                "listener_deliveries_waiting": lambda: len(ledger.deliveries()),
                "listener_deliveries_oldest_seconds": lambda: _age([each.created for each in ledger.deliveries()]),
                "listener_dead_letters": lambda: spool.dead_letters,
            }
        )


def _age(times: list[float]) -> float:
    return max(0.0, time() - min(times)) if times else 0.0
