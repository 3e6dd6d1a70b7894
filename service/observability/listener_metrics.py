"""Prometheus metrics of the DICOM listener, which is a process of its own."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

AssociationEnd = Literal["released", "aborted", "rejected", "closed", "refused"]
ObjectResult = Literal["stored", "duplicate", "conflict", "full", "too-large", "skipped", "failed"]
FrameEnd = Literal["classified", "refused", "skipped"]
StudyEnd = Literal["complete", "failed"]
DeliveryEnd = Literal["delivered", "refused", "unreachable", "dead"]
DeliveryKind = Literal["dicom", "webhook"]

LISTENER_GAUGES = {
    "listener_associations_open": "Open associations.",
    "listener_spool_bytes": "Bytes of objects, results and dead letters in the spool.",
    "listener_spool_allowed_bytes": "Limit on the bytes in the spool.",
    "listener_spool_objects": "Objects in the spool.",
    "listener_spool_oldest_seconds": "Age of the oldest object in the spool that has no results.",
    "listener_deliveries_waiting": "Results that wait for their destination.",
    "listener_deliveries_oldest_seconds": "Age of the oldest result that waits for its destination.",
    "listener_dead_letters": "Results in the folder of dead letters.",
}
"""Gauges that are read at each scrape: name without the prefix `fetal_planes_`, and help text."""


class ListenerMetrics:
    """The metrics of one listener."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, namespace="fetal_planes", registry=self.registry)
        self._associations = counter("listener_associations", "Ended associations, by how they ended.", ("end",))
        self._objects = counter("listener_objects", "Objects that scanners sent, by answer.", ("result",))
        self._frames = counter("listener_frames", "Frames of received objects, by result.", ("result",))
        self._studies = counter("listener_studies", "Studies that were complete.", ("result",))
        self._deliveries = counter(
            "listener_deliveries",
            "Attempts to deliver a result, by what it was and how they ended.",
            ("kind", "result"),
        )
        self._watched = {
            name: Gauge(name, text, namespace="fetal_planes", registry=self.registry)
            for name, text in LISTENER_GAUGES.items()
        }
        # An alert sees a counter grow only when it was exposed before.
        for counted, values in (
            (self._associations, AssociationEnd), (self._objects, ObjectResult), (self._frames, FrameEnd),
            (self._studies, StudyEnd),
        ):  # fmt: skip
            for value in get_args(values):
                counted.labels(value)
        for kind in get_args(DeliveryKind):
            for end in get_args(DeliveryEnd):
                self._deliveries.labels(kind, end)

    def watch(self, read: Mapping[str, Callable[[], float]]) -> None:
        """Expose `LISTENER_GAUGES`; `read` has a function for each name, called at each scrape."""
        for name, gauge in self._watched.items():
            gauge.set_function(read[name])

    def count_association(self, end: AssociationEnd, objects: Mapping[ObjectResult, int]) -> None:
        """Count an association that ended, and its objects."""
        self._associations.labels(end).inc()
        for result, count in objects.items():
            self._objects.labels(result).inc(count)

    def count_frame(self, result: FrameEnd) -> None:
        """Count a frame that has a result, or that cannot have one."""
        self._frames.labels(result).inc()

    def count_study(self, result: StudyEnd) -> None:
        """Count a study."""
        self._studies.labels(result).inc()

    def count_delivery(self, kind: DeliveryKind, result: DeliveryEnd) -> None:
        """Count an attempt to deliver."""
        self._deliveries.labels(kind, result).inc()
