"""Prometheus metrics. Each app has its own registry, so two apps in one process stay apart."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from service import __version__
from service.errors import TABLE
from service.schemas.answers import AbstainReason, ModelInfo
from service.schemas.corrections import Verdict

DecoderEnding = Literal["crash", "cpu-time", "killed", "memory", "stopped"]
"""Why a decoder ended: its file crashed it or reached a limit, somebody killed it, or its request was stopped."""

_RELOAD_RESULTS = ("switched", "unchanged", "refused", "failed")
_PROBABILITY_BUCKETS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

GAUGES = {
    "ready": "1 while the service accepts requests, 0 while it drains or stops.",
    "workers": "Number of worker threads.",
    "workers_busy": "Number of worker threads that work on a frame.",
    "queue_depth": "Jobs that wait for a worker.",
    "uploads_in_flight": "Admitted uploads: in transfer, queued or in work.",
    "uploads_allowed": "Limit on admitted uploads.",
    "uploads_held_bytes": "Bytes of the admitted uploads in memory.",
    "uploads_allowed_bytes": "Limit on the bytes of admitted uploads.",
}
"""Gauges that are read at each scrape: name without the prefix `fetal_planes_`, and help text."""


class Metrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, namespace="fetal_planes", registry=self.registry)
        gauge = partial(Gauge, namespace="fetal_planes", registry=self.registry)
        histogram = partial(Histogram, namespace="fetal_planes", registry=self.registry, buckets=_SECONDS_BUCKETS)
        self._requests = counter("requests", "Answered requests.", ("method", "route", "status"))
        self._request_seconds = histogram(
            "request_seconds", "Time from the first byte of a request to the last byte of its reply.", ("route",)
        )
        self._in_flight = gauge("requests_in_flight", "Requests without a complete reply.")
        labels = ("name", "version", "sha256", "precision", "service_version")
        self._model = gauge("model", "1 for the served model.", labels)
        self._refused = counter("refused", "Refused requests, by problem code.", ("code",))
        self._stage_seconds = histogram(
            "stage_seconds",
            "Time in each stage: queue, decode, preprocess, infer, explain, encode.",
            ("stage",),
            buckets=(0.001, 0.002, *_SECONDS_BUCKETS),
        )
        self._inferences = counter("inferences", "Inferences of the classifier, by number of threads.", ("threads",))
        self._predictions = counter("predictions", "Classified frames, by most probable plane.", ("plane",))
        self._confidence = histogram(
            "confidence",
            "Calibrated probability of the most probable plane. A drift needs a check of the frames.",
            buckets=_PROBABILITY_BUCKETS,
        )
        self._abstentions = counter("abstentions", "Frames on which the model abstained, by reason.", ("reason",))
        self._decoder_endings = counter(
            "decoder_endings", "Decoder processes that ended before their frame, by reason.", ("reason",)
        )
        self._corrections = counter("corrections", "Kept corrections, by verdict.", ("verdict",))
        self._reloads = counter("reloads", "Reloads of the model and the API keys, by result.", ("result",))
        self._reload_successful = gauge(
            "last_reload_successful", "0 when the last reload was refused or failed: the files on disk are not in use."
        )
        self._watched = {name: gauge(name, text) for name, text in GAUGES.items()}
        self._reload_successful.set(1)
        # An alert sees a counter grow only when it was exposed before: without the zeros it misses the first fault.
        _start_at_zero(self._refused, TABLE)
        _start_at_zero(self._abstentions, get_args(AbstainReason))
        _start_at_zero(self._reloads, _RELOAD_RESULTS)
        _start_at_zero(self._corrections, get_args(Verdict))
        _start_at_zero(self._decoder_endings, get_args(DecoderEnding))

    def watch(self, read: Mapping[str, Callable[[], float]]) -> None:
        """Expose `GAUGES`; `read` has a function for each name, called at each scrape."""
        for name, gauge in self._watched.items():
            gauge.set_function(read[name])

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record the duration of one stage."""
        self._stage_seconds.labels(stage).observe(seconds)

    def count_inference(self, threads: int) -> None:
        """Count one inference of the classifier."""
        self._inferences.labels(str(threads)).inc()

    def count_answer(self, plane: str, probability: float, abstain_reason: str | None) -> None:
        """Count one classified frame."""
        self._predictions.labels(plane).inc()
        self._confidence.observe(probability)
        if abstain_reason is not None:
            self._abstentions.labels(abstain_reason).inc()

    def count_decoder_ending(self, reason: str) -> None:
        """Count a decoder process that ended before its frame."""
        self._decoder_endings.labels(reason).inc()

    def count_corrections(self, verdicts: Iterable[str]) -> None:
        """Count corrections that were kept."""
        for verdict in verdicts:
            self._corrections.labels(verdict).inc()

    def count_reload(self, result: str) -> None:
        """Count a reload: `switched`, `unchanged`, `refused` or `failed`."""
        self._reloads.labels(result).inc()
        self._reload_successful.set(result in ("switched", "unchanged"))

    def count_refusal(self, code: str) -> None:
        """Count a refused request."""
        self._refused.labels(code).inc()

    def begin_request(self) -> None:
        """Count a request as in flight."""
        self._in_flight.inc()

    def end_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request as answered."""
        self._in_flight.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def set_model(self, model: ModelInfo, planes: Iterable[str]) -> None:
        """Expose the model that answers from now on, and its planes."""
        self._model.clear()
        _start_at_zero(self._predictions, planes)
        self._model.labels(model.name, model.version, model.sha256, model.precision, __version__).set(1)


def _start_at_zero(counter: Counter, values: Iterable[str]) -> None:
    for value in values:
        counter.labels(value)
