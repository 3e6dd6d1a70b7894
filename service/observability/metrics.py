"""What Prometheus scrapes. Each app has a registry of its own, so that two apps in a process do not mix."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, get_args

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
from service.errors import TABLE
from service.execution.admission import Admission
from service.execution.pool import WorkerPool
from service.execution.work import Work
from service.schemas.answers import AbstainReason, ModelInfo

T = TypeVar("T")

_RELOADS = ("switched", "unchanged", "refused", "failed")
_CONFIDENCES = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_BUCKETS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The counters of one app."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: dict[str, Gauge] = {}
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

        self._refused = Counter(
            "fetal_planes_refused", "Requests refused, by the problem's code.", ["code"], registry=self.registry
        )
        self._stages = Histogram(
            "fetal_planes_stage_seconds",
            "Time in each stage of the work: queue, decode, preprocess, infer, explain, encode.",
            ["stage"],
            buckets=(0.001, 0.002, *_BUCKETS),
            registry=self.registry,
        )
        self._runs = Counter(
            "fetal_planes_runs", "Runs of the classifier, by the threads of each.", ["threads"], registry=self.registry
        )
        self._predictions = Counter(
            "fetal_planes_predictions",
            "Frames answered, by the most probable plane.",
            ["plane"],
            registry=self.registry,
        )
        self._confidence = Histogram(
            "fetal_planes_confidence",
            "Calibrated probability of the most probable plane. A drift of it calls for a look at the frames.",
            buckets=_CONFIDENCES,
            registry=self.registry,
        )
        self._abstentions = Counter(
            "fetal_planes_abstentions", "Frames about which the model abstained.", ["reason"], registry=self.registry
        )

        self._reloads = Counter(
            "fetal_planes_reloads", "Reloads of model and keys, by result.", ["result"], registry=self.registry
        )
        self._reloaded = Gauge(
            "fetal_planes_last_reload_successful",
            "0 where the last reload of model and keys was refused or failed: what serves is not what is on disk.",
            registry=self.registry,
        )
        self._reloaded.set(1)
        # A counter that is first seen at 1 does not seem to have grown, and the first fault would go unnoticed.
        _begin_at_zero(self._refused, TABLE)
        _begin_at_zero(self._abstentions, get_args(AbstainReason))
        _begin_at_zero(self._reloads, _RELOADS)

    def watch(self, pool: WorkerPool, admission: Admission, ready: Callable[[], bool]) -> None:
        """Show, at each scrape, how full the pool and the admission are then, and whether more is welcome."""
        for name, text, read in (
            ("ready", "1 while further requests are welcome, 0 while the service drains or stops.", ready),
            ("workers", "Frames worked on at once, at most.", lambda: pool.cpu_budget.count),
            ("workers_busy", "Workers at work.", lambda: pool.busy),
            ("queue_depth", "Pieces of work that wait for a worker.", lambda: pool.waiting),
            ("uploads_in_flight", "Uploads taken in: coming, waiting or worked on.", lambda: admission.uploads),
            ("uploads_allowed", "Uploads taken in at once, at most.", lambda: admission.limits.uploads),
            ("uploads_held_bytes", "Bytes held of them.", lambda: admission.held_bytes),
            ("uploads_allowed_bytes", "Bytes held at once, at most.", lambda: admission.limits.held_bytes),
        ):
            if name not in self._watched:
                self._watched[name] = Gauge(f"fetal_planes_{name}", text, registry=self.registry)
            self._watched[name].set_function(read)

    def ran(self, run: Work) -> None:
        """Count what a request has done in the workers, and take it off its notes: a long one is counted as it goes."""
        for stage, seconds in _taken(run.stages):
            self._stages.labels(stage).observe(seconds)
        for threads in _taken(run.threads):
            self._runs.labels(str(threads)).inc()
        for outcome in _taken(run.outcomes):
            self._predictions.labels(outcome.plane).inc()
            self._confidence.observe(outcome.probability)
            if outcome.abstain_reason is not None:
                self._abstentions.labels(outcome.abstain_reason).inc()

    def reloaded(self, result: str) -> None:
        """Count a reload: `switched`, `unchanged`, `refused` or `failed`."""
        self._reloads.labels(result).inc()
        self._reloaded.set(result in ("switched", "unchanged"))

    def refused(self, code: str) -> None:
        """Count a request as refused."""
        self._refused.labels(code).inc()

    def begin(self) -> None:
        """Count a request as in flight."""
        self._in_flight.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request as answered."""
        self._in_flight.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def serves(self, model: ModelInfo, planes: Iterable[str]) -> None:
        """Name the model that answers from now on, and the planes that it tells apart."""
        self._model.clear()
        _begin_at_zero(self._predictions, planes)
        self._model.labels(model.name, model.version, model.sha256, __version__).set(1)

    def exposition(self) -> bytes:
        """All values in Prometheus' text format."""
        return generate_latest(self.registry)


def _begin_at_zero(counter: Counter, values: Iterable[str]) -> None:
    for value in values:
        counter.labels(value)


def _taken(notes: list[T]) -> Iterator[T]:
    while notes:  # workers may add to them meanwhile
        yield notes.pop()
