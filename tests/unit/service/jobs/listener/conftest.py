import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.inference.engine import Engine
from service.process_setup import configure_dicom_network
from tests.support.listener import Setup

configure_dicom_network()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore the sockets of senders: pynetdicom leaves them to Python to close where the peer has closed them."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(autouse=True, scope="module")
def _close_sockets() -> Iterator[None]:
    yield
    gc.collect()  # here, where the warning is ignored


@pytest.fixture
def setup(engine: Engine, tmp_path: Path) -> Setup:
    return Setup(engine, tmp_path)
