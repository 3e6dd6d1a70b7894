"""Builds the ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from service import __version__
from service.api.middleware.admission import AdmissionMiddleware
from service.api.middleware.api_keys import ApiKeyMiddleware
from service.api.middleware.request_log import RequestLogMiddleware
from service.api.middleware.security_headers import SecurityHeadersMiddleware
from service.api.openapi import describe
from service.api.problem_responses import install_handlers
from service.api.routes import about, batch, classify, docs, exam, explain, frame, health, page
from service.process_setup import configure_process
from service.runtime import Service
from service.settings import Settings

DESCRIPTION = (
    "Sorts obstetric ultrasound stills into standard planes and shows the evidence. "
    "**Research use only. Not a medical device.**"
)


def create_app(settings: Settings) -> FastAPI:
    """Make an app of its own: with its own model, threads and metrics, which live from its start-up to its shutdown."""
    configure_process()
    service = Service(settings)
    app = FastAPI(
        title="Fetal Planes",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # the framework's page loads its scripts from a content network; ours needs none
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, service),
    )
    app.state.service = service
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    install_handlers(app)
    for concern in (classify, batch, exam, explain, frame, health, about, docs, page):
        app.include_router(concern.router)
    # The last that is added is the first that a request meets.
    app.add_middleware(AdmissionMiddleware, settings=settings, admission=service.admission, metrics=service.metrics)
    app.add_middleware(ApiKeyMiddleware, ring=lambda: service.keys)
    app.add_middleware(RequestLogMiddleware, metrics=service.metrics)
    app.add_middleware(SecurityHeadersMiddleware, closing=lambda: service.draining)
    return app


@asynccontextmanager
async def _lifespan(service: Service, app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(service.start)
    try:
        yield
    finally:
        await asyncio.to_thread(service.stop)
