from pathlib import Path

import pytest

from tests.support.job_inputs import write_mixed_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of stills, a cine, a multi-page file and two files that are refused."""
    return write_mixed_folder(tmp_path / "in")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder of results; it does not exist yet."""
    return tmp_path / "out"
