"""A refusal before the app equals that of the middleware: its bytes, the connection, the log line and the metrics."""

import asyncio
import logging
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Scope
from uvicorn.server import ServerState

from service.api.middleware.early_refusals import EarlyRefusals
from service.app import create_app
from service.runtime import Runtime
from service.settings import Settings
from service.transport.connections import Connections, TimeLimits
from service.transport.early_refusals import RefusingProtocol
from tests.support.waiting import TIMEOUT_S

KEY = "k" * 43
ORIGIN = "https://viewer.example"
ID = "0" * 32
ORDINARY = ["Host: x", "Content-Length: 4"]


class Transport(asyncio.Transport):
    """Keeps what a protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.ended = b"", ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.ended += "eof"

    def close(self) -> None:
        self.ended += "close"

    def is_closing(self) -> bool:
        return "close" in self.ended

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignored."""

    def pause_reading(self) -> None:
        """Ignored."""

    def resume_reading(self) -> None:
        """Ignored."""


class Site(NamedTuple):
    """Services whose slots are all taken, by their settings."""

    plain: FastAPI
    guarded: FastAPI  # with keys, allowed origins and a path prefix


class Seen(NamedTuple):
    """What a client and an operator see of a request."""

    reply: bytes
    connection: str
    log: list[dict[str, Any]]
    counted: dict[str, float]


def runtime_of(app: FastAPI) -> Runtime:
    runtime: Runtime = app.state.runtime
    return runtime


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    keys: Path = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"desk {sha256(KEY.encode()).hexdigest()}\n")
    guarded = Settings(api_keys=keys, cors_origins=ORIGIN, root_path="/planes/")
    site = Site(create_app(Settings()), create_app(guarded))
    for app in site:
        admission = runtime_of(app).admission
        admission.uploads = admission.limits.uploads
    return site


@pytest.fixture(autouse=True, scope="module")
def same_request_id() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("observability.trace", "transport.protocol"):
            patch.setattr(f"service.{module}.new_request_id", lambda: ID)
        yield


class Lines(logging.Handler):
    """Keeps log lines, without their times."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        plain = vars(logging.makeLogRecord({})).keys() | {"milliseconds"}
        self.lines.append({"message": record.getMessage()} | {k: v for k, v in vars(record).items() if k not in plain})


def counted(runtime: Runtime) -> dict[str, float]:
    samples = [sample for metric in runtime.metrics.registry.collect() for sample in metric.samples]
    return {
        f"{sample.name}{sample.labels}": sample.value
        for sample in samples
        if sample.name.startswith("fetal_planes_re") and not sample.name.endswith(("_created", "_sum", "_bucket"))
    }


def ask(app: FastAPI, sent: bytes, *, early: bool) -> Seen:
    """Send a request to a new connection of a service that refuses early, or in its middleware."""
    runtime, lines = runtime_of(app), Lines()

    async def exchange() -> Transport:
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        config.load()
        refuse = EarlyRefusals(runtime).refuse if early else _never
        connections = Connections(TimeLimits(20, 2**20))
        protocol = RefusingProtocol(config, ServerState(), {}, connections=connections, refuse=refuse)
        protocol.connection_made(transport := Transport())
        protocol.data_received(sent)
        async with asyncio.timeout(TIMEOUT_S):
            while protocol.tasks or not (transport.written or transport.ended):
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        return transport

    logger = logging.getLogger("fetal_planes.requests")
    level, before = logger.level, counted(runtime)
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        transport = asyncio.run(exchange())
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
    after = counted(runtime)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name, 0.0)}
    return Seen(transport.written, transport.ended, lines.lines, grown)


def _never(scope: Scope) -> None:
    """Leave every request to the app."""


def head(*headers: str, method: str = "POST", target: str = "/classify", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", *headers, "", ""]).encode() + b"\r\nab"


ORDINARY_UPLOAD = {"length": "Content-Length: 4", "method": "POST", "target": "/classify", "version": "1.1"}
PUBLIC = ["/", "/health", "/planes", "/planes/", "/planes/health", "/other/health", "http://x", "http://x/health"]
"""Targets that need no key, at least behind some proxy."""
HEADERS = st.lists(
    st.sampled_from(
        [
            "Connection: keep-alive",
            "Connection: close",
            "Content-Encoding: gzip",
            "Content-Encoding: br",
            "Expect: 100-continue",
            "Transfer-Encoding: chunked",
            "X-Deadline-Ms: 100",
            "X-Deadline-Ms: soon",
            "X-Request-ID: mine.1",
            "X-Request-ID: not a token",
            "X-Forwarded-Prefix: /behind",
            "X-Forwarded-Prefix: //evil.example",
            "Upgrade: h2c",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            f"Origin: {ORIGIN}",
            "Origin: https://other.example",
            f"X-API-Key: {KEY}",
            "X-API-Key: wrong",
            f"Authorization: Bearer {KEY}",
        ]
    ),
    max_size=4,
    unique=True,
)


@given(
    headers=HEADERS,
    length=st.sampled_from(["Content-Length: 4", "Content-Length: 4", "Content-Length: 999999999", "X-No-Length: 1"]),
    method=st.sampled_from(["POST", "POST", "POST", "DELETE", "BREW"]),
    target=st.sampled_from([*PUBLIC, "/classify", "/explain?top=x", "/nowhere", "http://x/exam", "/planes/classify"]),
    version=st.sampled_from(["1.1", "1.1", "1.0"]),
    name=st.sampled_from(Site._fields),
)
@example(**ORDINARY_UPLOAD, headers=["Expect: 100-continue"], name="plain")
@example(**ORDINARY_UPLOAD, headers=["Connection: keep-alive", "Connection: close"], name="plain")
@example(**ORDINARY_UPLOAD, headers=[f"X-API-Key: {KEY}", f"Origin: {ORIGIN}"], name="guarded")
@example(**ORDINARY_UPLOAD, headers=[f"X-API-Key: {KEY}", "Origin: https://other.example"], name="guarded")
def test_a_refusal_before_the_app_equals_the_one_of_the_middleware(
    site: Site, headers: list[str], length: str, method: str, target: str, version: str, name: str
) -> None:
    sent = head("Host: x", length, *headers, method=method, target=target, version=version)
    app: FastAPI = getattr(site, name)
    assert ask(app, sent, early=True) == ask(app, sent, early=False)


@pytest.mark.parametrize("target", PUBLIC)
@pytest.mark.parametrize("header", [f"X-API-Key: {KEY}", "X-API-Key: wrong", "X-Forwarded-Prefix: /other"])
def test_a_refusal_of_a_public_target_equals_the_one_of_the_middleware(site: Site, target: str, header: str) -> None:
    sent = head(*ORDINARY, f"X-API-Key: {KEY}", header, target=target)
    assert ask(site.guarded, sent, early=True) == ask(site.guarded, sent, early=False)


def refuses_early(app: FastAPI, *headers: str) -> bool:
    """Return whether a request is answered without the app, which is away."""
    runtime = runtime_of(app)
    scope = {
        "method": "POST",
        "path": "/classify",
        "http_version": "1.1",
        "headers": [tuple(part.strip().encode() for part in each.lower().split(":", 1)) for each in headers],
    }
    refusal = EarlyRefusals(runtime).refuse(scope)
    if refusal is not None:
        refusal.end()
    return refusal is not None


def test_ordinary_uploads_need_no_app(site: Site) -> None:
    assert refuses_early(site.plain, *ORDINARY)
    assert refuses_early(site.plain, *ORDINARY, "Connection: keep-alive", f"Origin: {ORIGIN}")
    assert refuses_early(site.guarded, *ORDINARY, f"X-API-Key: {KEY}")


@pytest.mark.parametrize("key", [(), ("X-API-Key: wrong",)])
def test_a_client_without_a_key_does_not_learn_the_load(site: Site, key: tuple[str, ...]) -> None:
    assert not refuses_early(site.guarded, *ORDINARY, *key)
    assert ask(site.guarded, head(*ORDINARY, *key), early=True).reply.startswith(b"HTTP/1.1 401 ")


def test_the_app_answers_while_a_slot_is_free_and_while_the_service_drains(site: Site) -> None:
    runtime = runtime_of(site.plain)
    runtime.draining = True
    assert not refuses_early(site.plain, *ORDINARY)
    runtime.draining = False
    runtime.admission.uploads -= 1
    assert not refuses_early(site.plain, *ORDINARY)
    runtime.admission.uploads += 1
    assert refuses_early(site.plain, *ORDINARY)
