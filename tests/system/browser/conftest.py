"""A browser for the folder, servers for each test, and a page that must not complain."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.drawn_model import Artist
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
    # For this folder alone: while Playwright runs, no other test of this thread could run an event loop.
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def artist() -> Phantom:
    return Artist()


@pytest.fixture(scope="package")
def address(artist: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service with the phantom of the drawings is to be found."""
    with serving(artist.write(tmp_path_factory.mktemp("artist"))) as address:
        yield address


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Phantom], str]]:
    """Serve another phantom; gives the address."""
    with ExitStack() as stack:
        yield lambda phantom: stack.enter_context(serving(phantom.write(tmp_path / phantom.planes[0])))


@pytest.fixture
def visit(browser: "Browser", address: str) -> Iterator[Callable[..., Visit]]:
    """Open the page, `visit(path="/", color_scheme="dark", viewport=…)`; at the end nothing may have complained."""
    visits: list[Visit] = []

    def start(at: str = address, **options: object) -> Visit:
        visits.append(Visit(browser, at, options))
        return visits[-1]

    yield start
    for each in visits:
        each.close()
