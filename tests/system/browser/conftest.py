"""A browser for the folder, servers for each test, and pages that must not report an error."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.drawn_model import DrawnModel
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    if reason := why_not():
        pytest.skip(reason)
    # For this folder alone: while Playwright runs, other tests in the same thread cannot run an event loop.
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def drawn_model() -> Phantom:
    return DrawnModel()


@pytest.fixture(scope="package")
def address(drawn_model: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a service with the model of the drawn frames."""
    with serving(drawn_model.write(tmp_path_factory.mktemp("model"))) as address:
        yield address


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Phantom], str]]:
    """Serve another phantom; return the address."""
    with ExitStack() as stack:
        yield lambda phantom: stack.enter_context(serving(phantom.write(tmp_path / phantom.planes[0])))


@pytest.fixture
def visit(browser: "Browser", address: str) -> Iterator[Callable[..., Visit]]:
    """Open the page, `visit(address, color_scheme="dark", viewport=…)`; no page may report an error until the end."""
    visits: list[Visit] = []

    def start(at: str = address, **options: object) -> Visit:
        visits.append(Visit(browser, at, options))
        return visits[-1]

    yield start
    for each in visits:
        each.close()
