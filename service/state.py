"""What lives as long as the app: settings, metrics, and the model once it runs."""

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request

from service.errors import NotReady
from service.inference.admission import Admission
from service.inference.cpus import pool_width
from service.inference.engine import AllCores, Engine
from service.inference.package import ModelPackage, load_package
from service.inference.pool import WorkerPool
from service.observability.metrics import Metrics
from service.pipeline import Pipeline
from service.schemas import ModelInfo
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
        self.width = pool_width(settings.workers)
        self.admission = Admission(settings.bounds(self.width.count))
        self._running: Running | None = None

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
        model = ModelInfo.of(package)
        self._running = Running(pipeline, pool, model, monotonic())
        self.metrics.serves(model)
        self.metrics.watch(pool, self.admission)
        _LOG.info("ready", extra={"model": model.name, "model_version": model.version, **self._sizes()})

    def _open(self, package: ModelPackage, pool: WorkerPool) -> Pipeline:
        """A pipeline that has passed its warm-up."""
        engine = Engine(package, AllCores(self.width.count, pool.lone))
        engine.warm_up()
        return Pipeline(engine, self.settings.limits)

    def _sizes(self) -> dict[str, object]:
        """What was decided from the machine and the settings, for the log."""
        bounds = self.admission.bounds
        return {
            "workers": self.width.count,
            "workers_source": self.width.source,
            "threads_of_a_lone_run": self.width.count,
            "max_requests": bounds.places,
            "max_held_bytes": bounds.held_bytes,
        }

    def stop(self) -> None:
        """Be ready no more, then finish what runs."""
        running, self._running = self._running, None
        if running is not None:
            running.pool.close()

    @property
    def running(self) -> Running:
        """What runs now.

        Raises
        ------
        NotReady
            Nothing does.
        """
        if self._running is None:
            raise NotReady("The service is starting or stopping.", headers={"Retry-After": str(_RETRY_AFTER_S)})
        return self._running


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _running(request: Request) -> Running:
    return _service(request).running


def _request_id(request: Request) -> str:
    return str(request.state.request_id)


ServiceDep = Annotated[Service, Depends(_service)]
RunningDep = Annotated[Running, Depends(_running)]
RequestId = Annotated[str, Depends(_request_id)]
