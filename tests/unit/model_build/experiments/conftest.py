from pathlib import Path

import pytest

from tests.support.tiny_run import TINY_RECIPE


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file that trains within a second."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(TINY_RECIPE)
    return file
