from pathlib import Path

import pytest

from tests.support.tiny_dataset import write_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in the layout of FETAL_PLANES_DB."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "data")
