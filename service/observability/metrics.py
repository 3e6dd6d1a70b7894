"""What Prometheus scrapes. Each app has a registry of its own, so that two apps in a process do not mix."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from service import __version__
from service.schemas import ModelInfo

_BUCKETS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The counters of one app."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "fetal_planes_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "fetal_planes_request_seconds",
            "Time from a request's first byte to its reply's last.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "fetal_planes_requests_in_flight", "Requests begun and not yet answered.", registry=self.registry
        )
        self._model = Gauge(
            "fetal_planes_model",
            "1 for the model that is served.",
            ["name", "version", "sha256", "service_version"],
            registry=self.registry,
        )

    def begin(self) -> None:
        """Count a request as in flight."""
        self._in_flight.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request as answered."""
        self._in_flight.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def serves(self, model: ModelInfo) -> None:
        """Name the model that answers from now on."""
        self._model.clear()
        self._model.labels(model.name, model.version, model.sha256, __version__).set(1)

    def exposition(self) -> bytes:
        """All values in Prometheus' text format."""
        return generate_latest(self.registry)
