"""Builds the ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from service import __version__
from service.api.middleware.admission import AdmissionMiddleware
from service.api.middleware.api_keys import ApiKeyMiddleware
from service.api.middleware.cors import CorsMiddleware
from service.api.middleware.methods import MethodsMiddleware
from service.api.middleware.request_log import RequestLogMiddleware
from service.api.middleware.request_target import RequestTargetMiddleware
from service.api.middleware.security_headers import SecurityHeadersMiddleware
from service.api.openapi import SERVERS, TAGS, openapi_document
from service.api.problem_responses import HANDLERS
from service.api.routes import (
    batch,
    classify,
    corrections,
    docs,
    exam,
    explain,
    frame,
    health,
    metrics,
    model,
    page,
    problems,
    sample,
)
from service.inference.package import ModelPackage
from service.process_setup import configure_process
from service.runtime import Runtime
from service.settings import Settings

_ROUTES = (
    classify, batch, exam, explain, frame, corrections, health, model, metrics, problems, sample, docs, page,
)  # fmt: skip


def create_app(settings: Settings, package: ModelPackage | None = None) -> FastAPI:
    """Return an app with its own model, worker threads and metrics, which live from its startup to its shutdown.

    `package` is the model package where the caller has read it already.
    """
    configure_process()
    runtime = Runtime(settings, package)
    app = FastAPI(
        title="Fetal Planes",
        version=__version__,
        description="Classifies obstetric ultrasound frames into standard planes and shows the evidence. "
        "**Research use only. Not a medical device.** "
        "To try it, download a drawn frame: [brain.png](sample/brain.png), [loop.dcm](sample/loop.dcm).",
        servers=SERVERS,
        openapi_tags=TAGS,
        docs_url=None,  # FastAPI's page loads scripts from a CDN; routes/docs.py serves them from a package
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # operation ids such as `classify_batch`
        lifespan=partial(_lifespan, runtime),
        exception_handlers=HANDLERS,
    )
    app.state.runtime = runtime
    app.openapi = partial(openapi_document, app)  # type: ignore[method-assign]
    for routes in _ROUTES:
        app.include_router(routes.router)
    # A request passes the middleware in reverse order: the last one added comes first.
    app.add_middleware(AdmissionMiddleware, runtime=runtime)
    app.add_middleware(ApiKeyMiddleware, keys=lambda: runtime.keys)
    app.add_middleware(MethodsMiddleware)
    app.add_middleware(RequestTargetMiddleware, root_path=settings.root_path)
    app.add_middleware(RequestLogMiddleware, metrics=runtime.metrics)
    app.add_middleware(CorsMiddleware, origins=settings.allowed_origins)
    app.add_middleware(SecurityHeadersMiddleware, draining=lambda: runtime.draining)
    return app


@asynccontextmanager
async def _lifespan(runtime: Runtime, _: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(runtime.start)
    try:
        yield
    finally:
        await asyncio.to_thread(runtime.stop)
