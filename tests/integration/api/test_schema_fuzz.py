"""The API, fuzzed from its own schema: whatever comes, no 500, and every reply as documented."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from service.app import create_app
from service.settings import Settings
from tests.support.images import animation, encode, png_bomb, speckle
from tests.support.store import secret_file, sqlite_url

FRAMES = [encode(speckle(9, 9), kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
FRAMES += [animation("PNG", [speckle(9, 9), speckle(8, 9)]), png_bomb(), FRAMES[0][:60]]
schemathesis.openapi.media_type("application/octet-stream", st.sampled_from(FRAMES) | st.binary())

# Every operation there is, as (path, method); a new route is fuzzed from its first day.
OPERATIONS = [
    (path, method) for path, methods in create_app(Settings()).openapi()["paths"].items() for method in methods
]
MANY = {"/classify/batch", "/exam"}
UPLOADS = [(path, method) for path, method in OPERATIONS if method == "post"]


@pytest.fixture(scope="module")
def app(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """Schemathesis starts it, and would never stop it: its threads would keep pytest from ending."""
    folder = tmp_path_factory.mktemp("store")
    store = {"store": SecretStr(sqlite_url(folder)), "store_secret": secret_file(folder), "store_frames": folder}
    app = create_app(Settings.model_validate({"model": phantom_folder} | store))
    yield app
    app.state.runtime.stop()


@pytest.fixture(scope="module")
def schema(app: FastAPI) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_schema_allows(schema: Any, path: str, method: str) -> None:
    fuzz(schema[path][method], schemathesis.GenerationMode.POSITIVE)


@pytest.mark.parametrize(("path", "method"), UPLOADS)
def test_what_the_schema_forbids(schema: Any, path: str, method: str) -> None:
    fuzz(schema[path][method], schemathesis.GenerationMode.NEGATIVE)


def fuzz(operation: Any, mode: schemathesis.GenerationMode) -> None:
    # The schema calls any bytes an upload; that they are an image is more than it can say.
    excluded = [positive_data_acceptance]
    if operation.path in MANY:  # on the wire one part is a list of one, and a bad file is a line of the reply
        excluded.append(negative_data_rejection)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        assume(not has_unsent_part(case.body))
        case.call_and_validate(excluded_checks=excluded)

    ask()


def has_unsent_part(body: Any) -> bool:
    """Return whether a form violates its schema in memory only: a list is one part for each item, so [] is none."""
    return isinstance(body, dict) and any(name != "file" and value == [] for name, value in body.items())
