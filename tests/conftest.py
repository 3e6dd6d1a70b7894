import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.inference.engine import Engine
from service.inference.package import load_package
from service.process_setup import configure_process
from service.settings import Settings
from tests.support.phantom_package import Phantom
from tests.support.store import Postgres, postgres_programs, postgres_server, sqlite_url

configure_process()

MARKERS = {
    "integration/api/test_schema_fuzz.py": "fuzz",
    "integration/test_own_classes.py": "training",
    "policy/test_docs_site.py": "slow",
    "realdata/": "realdata",
    "system/browser/": "browser",
    "system/container/": "container",
    "system/dicom/": "orthanc",
    "system/front/": "slow",
    "system/generated_clients/": "slow",
    "system/monitoring/": "prometheus",
    "system/orthanc/": "orthanc",
    "system/ray/": "ray",
    "unit/model_build/experiments/": "training",
    "unit/model_build/training/test_distributed.py": "training",
    "unit/model_build/training/test_trainer.py": "training",
    "unit/service/imaging/dicom/test_fuzz.py": "fuzz",
    "unit/service/store/test_crash.py": "slow",
    "unit/service/store/test_memory.py": "slow",
}
"""The marker of every test in a file or folder. `make check` runs the tests without a marker."""

FIXTURE_MARKERS = {"built": "training"}
"""The marker of every test that uses a fixture."""


def markers_of(path: Path) -> set[str]:
    """Return the markers of every test in a file."""
    place = path.relative_to(Path(__file__).parent).as_posix()
    return {marker for prefix, marker in MARKERS.items() if place.startswith(prefix)}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files whose tests `-m "not (...)"` never selects: their imports take seconds."""
    without = re.fullmatch(r"not \(([\w ]+)\)", config.option.markexpr)
    left_out = set(without[1].split(" or ")) if without else set()
    return True if collection_path.is_file() and markers_of(collection_path) & left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their place and their fixtures."""
    for item in items:
        markers = markers_of(item.path)
        markers |= {FIXTURE_MARKERS[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURE_MARKERS}
        for marker in markers:
            item.add_marker(marker)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where a thread is left that keeps the process from ending, or whose pool was not closed."""
    left = [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and (not thread.daemon or thread.name.startswith("worker_"))
    ]
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        sys.stderr.write(f"\nthreads are left at the end of the tests: {', '.join(left)}\n")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return Phantom()


@pytest.fixture(scope="session")
def phantom_folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom.write(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="session")
def engine(phantom_folder: Path) -> Engine:
    return Engine(load_package(phantom_folder))


@pytest.fixture(scope="session")
def client(phantom_folder: Path) -> Iterator[TestClient]:
    """A client of an app that serves the phantom and is ready."""
    with TestClient(create_app(Settings(model=phantom_folder))) as client:
        yield client


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Postgres]:
    """A PostgreSQL server, which all tests of a process share."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_cluster: Postgres) -> Postgres:
    """A PostgreSQL server with an empty database."""
    if not postgres_cluster.is_running():  # a test that failed may have left it so
        postgres_cluster.start()
    postgres_cluster.empty()
    return postgres_cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.url


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Start further clients: `serve(phantom, max_upload_bytes=...)`."""
    clients: list[TestClient] = []

    def start(phantom: Phantom, **settings: Any) -> TestClient:
        folder = phantom.write(tmp_path / str(len(clients)))
        client = TestClient(create_app(Settings(model=folder, **settings)))
        clients.append(client)
        client.__enter__()
        return client

    yield start
    for client in clients:
        client.__exit__()
