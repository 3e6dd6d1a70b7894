"""What lives as long as the app: settings, metrics, and the model once it runs."""

import logging
import threading
from dataclasses import dataclass, replace
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request

from service.analysis.pipeline import Pipeline
from service.api.middleware.api_keys import KeyFileError, load_keys
from service.errors import NotReady
from service.execution.admission import Admission
from service.execution.cpu_budget import cpu_budget
from service.execution.pool import WorkerPool
from service.inference.engine import AllCores, Engine
from service.inference.package import ModelPackage, PackageError, load_package
from service.observability.metrics import Metrics
from service.reports.answers import model_info
from service.schemas.answers import ModelInfo
from service.settings import Settings

_LOG = logging.getLogger("fetal_planes.service")
_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Running:
    """A model that has passed its warm-up, and the threads that run it."""

    pipeline: Pipeline
    pool: WorkerPool
    model: ModelInfo
    since: float


class Service:
    """Starts and stops with the app; the routes ask it for what runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.width = cpu_budget(settings.workers)
        self.admission = Admission(settings.bounds(self.width.count))
        self.keys = load_keys(settings.api_keys)
        self.draining = False
        self._running: Running | None = None
        self._reloading = threading.Lock()

    def start(self) -> None:
        """Load the model package, warm it up, and be ready.

        Raises
        ------
        PackageError
            The package must not be served.
        """
        package = load_package(self.settings.model)
        pool = WorkerPool(self.width)
        try:
            pipeline = self._open(package, pool)
        except BaseException:
            pool.close()  # else its threads would keep a process alive that serves nothing
            raise
        model = model_info(pipeline.model)
        self._running = Running(pipeline, pool, model, monotonic())
        self.metrics.serves(model, _planes(package))
        self.metrics.watch(pool, self.admission, lambda: self._running is not None and not self.draining)
        _LOG.info("ready", extra={"model": model.name, "model_version": model.version, **self._sizes()})

    def _open(self, package: ModelPackage, pool: WorkerPool) -> Pipeline:
        """A pipeline that has passed its warm-up."""
        engine = Engine(package, AllCores(self.width.count, pool.is_alone))
        engine.warm_up()
        return Pipeline(engine, self.settings.limits)

    def _sizes(self) -> dict[str, object]:
        """What was decided from the machine and the settings, for the log."""
        bounds = self.admission.limits
        return {
            "workers": self.width.count,
            "workers_source": self.width.source,
            "threads_for_single_request": self.width.count,
            "max_requests": bounds.uploads,
            "max_held_bytes": bounds.held_bytes,
        }

    def drain(self) -> None:
        """Be ready no more, and yet serve on."""
        if not self.draining:
            self.draining = True
            _LOG.info("draining")

    def reload(self) -> None:
        """Read model package and API keys anew, beside the old ones; those serve on until the new ones are sound.

        Requests under way keep the model that they began with. Whatever is wrong with the new ones is logged.
        """
        with self._reloading:
            try:
                result = self._reload()
            except (PackageError, KeyFileError) as error:
                result = "refused"
                _LOG.error("the reload is refused; the old model and keys serve on", extra={"reason": str(error)})
            except Exception:
                result = "failed"
                _LOG.exception("the reload failed; the old model and keys serve on")
            self.metrics.reloaded(result)

    def _reload(self) -> str:
        running = self.running
        keys = load_keys(self.settings.api_keys)
        package = load_package(self.settings.model)
        switched = package.sha256 != running.model.sha256
        if switched:
            pipeline = self._open(package, running.pool)
            model = model_info(pipeline.model)
            self._running = replace(running, pipeline=pipeline, model=model)
            self.metrics.serves(model, _planes(package))
        self.keys = keys
        result = "switched" if switched else "unchanged"
        version = self.running.model.version
        _LOG.info("reloaded", extra={"model_result": result, "model_version": version})
        return result

    def stop(self) -> None:
        """Be ready no more, then finish what runs."""
        running, self._running = self._running, None
        if running is not None:
            running.pool.close()

    @property
    def ready(self) -> Running:
        """What runs now, if further requests are welcome.

        Raises
        ------
        NotReady
            Nothing does, or the service drains.
        """
        if self.draining:
            raise _not_ready()
        return self.running

    @property
    def running(self) -> Running:
        """What runs now.

        Raises
        ------
        NotReady
            Nothing does.
        """
        if self._running is None:
            raise _not_ready()
        return self._running


def _planes(package: ModelPackage) -> list[str]:
    return [plane.id for plane in package.manifest.planes]


def _not_ready() -> NotReady:
    return NotReady("The service is starting or stopping.", headers={"Retry-After": str(_RETRY_AFTER_S)})


# Plain functions would each go through a thread of the framework's, at every request.


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _running(request: Request) -> Running:
    return (await _service(request)).running


async def _ready(request: Request) -> Running:
    return (await _service(request)).ready


ServiceDep = Annotated[Service, Depends(_service)]
ReadyDep = Annotated[Running, Depends(_ready)]
RunningDep = Annotated[Running, Depends(_running)]
