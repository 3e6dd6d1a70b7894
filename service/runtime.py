"""Everything that lives as long as the app: settings, metrics, admission, API keys and the loaded model."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

from service.analysis.pipeline import Pipeline
from service.analysis.protocols.file import ProtocolError
from service.analysis.protocols.load import load_protocols
from service.api_keys import KeyFileError, load_keys
from service.errors import NotReady
from service.execution.admission import Admission
from service.execution.cpu_budget import cpu_budget
from service.execution.decoders.decoder import Decoder
from service.execution.decoders.pool import open_decoder
from service.execution.pool import WorkerPool
from service.execution.time_limit import TimeLimit, TimeLimitError
from service.execution.work import Work
from service.inference.engine import AllCores
from service.inference.package import ModelPackage, PackageError, load_package
from service.inference.precision import choose_precision
from service.inference.providers import open_engine
from service.observability.metrics import Metrics
from service.process_setup import return_freed_memory
from service.reports.answers import model_info
from service.schemas.answers import ModelInfo
from service.schemas.protocols import Protocols
from service.settings import Settings
from service.store import open_store

_LOG = logging.getLogger("fetal_planes.service")
_RETRY_AFTER_S = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A warmed-up model and the workers that run it.

    Attributes
    ----------
    pipeline, pool
        Classifies frames; runs the pipeline in worker threads.
    info
        Name, version and hash of the package.
    protocols
        The protocols that the model's planes can fulfill.
    ready_since
        Time of the warm-up's end, by `time.monotonic`.
    """

    pipeline: Pipeline
    pool: WorkerPool
    info: ModelInfo
    protocols: Protocols
    ready_since: float


class Runtime:
    """Starts and stops with the app; the routes read it."""

    def __init__(self, settings: Settings, package: ModelPackage | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.cpu_budget = cpu_budget(settings.workers)
        self.admission = Admission(settings.admission_limits(self.cpu_budget.count))
        self.keys = load_keys(settings.api_keys)
        self.store = None if (options := settings.store_options) is None else open_store(options)
        self.draining = False
        self._package = package  # until the start, where it has been read already
        self._model: LoadedModel | None = None
        self._reload_lock = threading.Lock()
        self._load_limit = TimeLimit(settings.load_s)

    def start(self) -> None:
        """Load the model package, warm it up, and become ready.

        Raises
        ------
        PackageError
            The package is invalid, or takes longer than `load_s`.
        ProtocolError
            A protocol cannot be used with the model, or reading them takes longer than `load_s`.
        """
        if self.store is not None:
            self.store.start()  # the model need not wait for a database
        pool = WorkerPool(self.cpu_budget)
        # First, because the decoders load while the model does.
        decoder = open_decoder(self.settings.decoder_limits, self.cpu_budget.count, self.metrics.count_decoder_ending)
        try:
            package = self._package or self._within_limit(partial(load_package, self.settings.model))
            self._package = None
            protocols = self._load_protocols(package)
            pipeline = self._within_limit(partial(self._open, package, pool, decoder))
        except BaseException:
            pool.close()  # its threads would keep a process alive that serves nothing
            decoder.close()
            if self.store is not None:
                self.store.close()
            raise
        decoder.start()
        self._model = LoadedModel(pipeline, pool, info := model_info(pipeline.model), protocols, monotonic())
        self.metrics.set_model(info, [plane.id for plane in package.manifest.planes])
        self._watch(pool)
        sizes = {  # decided by the machine and the settings
            "workers": self.cpu_budget.count,
            "workers_source": self.cpu_budget.source,
            "threads_for_single_request": self.cpu_budget.count,
            "max_requests": self.admission.limits.uploads,
            "max_held_bytes": self.admission.limits.held_bytes,
        }
        _LOG.info("ready", extra={"model": info.name, "model_version": info.version, **sizes})

    def drain(self) -> None:
        """Report not ready from now on, and keep serving."""
        if not self.draining:
            self.draining = True
            _LOG.info("draining")

    def stop(self) -> None:
        """Unload the model after the work in progress is done. A reload in progress is stopped."""
        self._load_limit.stop()
        model, self._model = self._model, None
        if model is not None:
            model.pool.close()
            model.pipeline.decoder.close()
        if self.store is not None:
            self.store.close()

    def reload(self) -> None:
        """Read the model package, the protocols and the API keys again; log the result and count it.

        The old model and keys serve until the new ones are loaded and valid. Requests in progress keep their model.
        """
        with self._reload_lock:
            try:
                result = self._reload()
                return_freed_memory()
            except (PackageError, ProtocolError, KeyFileError) as error:
                result = "refused"
                _LOG.error("reload refused; the old model and keys stay in use", extra={"reason": str(error)})
            except Exception:
                result = "failed"
                _LOG.exception("reload failed; the old model and keys stay in use")
            self.metrics.count_reload(result)

    def record(self, work: Work) -> None:
        """Move the measurements of a request's work into the metrics; a batch calls this for each line."""
        for stage, seconds in _drained(work.stages):
            self.metrics.observe_stage(stage, seconds)
        for threads in _drained(work.threads):
            self.metrics.count_inference(threads)
        for outcome in _drained(work.outcomes):
            self.metrics.count_answer(outcome.plane, outcome.probability, outcome.abstain_reason)

    @property
    def ready_model(self) -> LoadedModel:
        """The loaded model while the service accepts requests.

        Raises
        ------
        NotReady
            No model is loaded, or the service drains.
        """
        if self.draining:
            raise _not_ready()
        return self.model

    @property
    def model(self) -> LoadedModel:
        """The loaded model, also while the service drains.

        Raises
        ------
        NotReady
            No model is loaded.
        """
        if self._model is None:
            raise _not_ready()
        return self._model

    @property
    def stuck(self) -> bool:
        """Whether a model package still loads; after `stop`, only the end of the process can end that."""
        return self._load_limit.stuck

    def _within_limit(
        self, load: Callable[[], T], path: Path | None = None, refusal: type[Exception] = PackageError
    ) -> T:
        """Return `load()`, which reads the package or another path: one on a share may never be read to its end."""
        try:
            return self._load_limit.run(load)
        except TimeLimitError as error:
            raise refusal(f"loading {path or self.settings.model}: {error} (FETAL_PLANES_LOAD_S)") from error

    def _load_protocols(self, package: ModelPackage) -> Protocols:
        folder = self.settings.protocols
        load = partial(load_protocols, folder, self.settings.default_protocol, package.manifest)
        return self._within_limit(load, folder, ProtocolError)

    def _open(self, package: ModelPackage, pool: WorkerPool, decoder: Decoder) -> Pipeline:
        package = choose_precision(package.on(self.settings.providers), self.settings.precision)
        engine = open_engine(package, AllCores(self.cpu_budget.count, pool.is_alone))
        return Pipeline(engine, self.settings.limits, decoder)

    def _reload(self) -> str:
        model = self.model
        keys = self._within_limit(partial(load_keys, path := self.settings.api_keys), path, KeyFileError)
        package = self._within_limit(partial(load_package, self.settings.model))
        protocols = self._load_protocols(package)
        switched = package.sha256 != model.info.sha256
        if switched:
            pipeline = self._within_limit(partial(self._open, package, model.pool, model.pipeline.decoder))
            model = replace(model, pipeline=pipeline, info=(info := model_info(pipeline.model)))
            self.metrics.set_model(info, [plane.id for plane in package.manifest.planes])
        self._model = replace(model, protocols=protocols)
        self.keys = keys
        result = "switched" if switched else "unchanged"
        _LOG.info("reloaded", extra={"model_result": result, "model_version": self.model.info.version})
        return result

    def _watch(self, pool: WorkerPool) -> None:
        admission = self.admission
        self.metrics.watch(
            {
                "ready": lambda: self._model is not None and not self.draining,
                "workers": lambda: self.cpu_budget.count,
                "workers_busy": lambda: pool.busy,
                "queue_depth": lambda: pool.waiting,
                "uploads_in_flight": lambda: admission.uploads,
                "uploads_allowed": lambda: admission.limits.uploads,
                "uploads_held_bytes": lambda: admission.held_bytes,
                "uploads_allowed_bytes": lambda: admission.limits.held_bytes,
            }
        )


def _not_ready() -> NotReady:
    return NotReady("The service is starting or stopping.", headers={"Retry-After": str(_RETRY_AFTER_S)})


def _drained(notes: list[T]) -> Iterator[T]:
    while notes:  # workers may append to the list meanwhile
        yield notes.pop()
