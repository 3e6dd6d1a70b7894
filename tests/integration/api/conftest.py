from collections.abc import Iterator

import pytest

from tests.support.disk_watch import watch_disk


@pytest.fixture
def disk() -> Iterator[list[str]]:
    """Files that were opened for writing since `WATCHING` was set."""
    yield from watch_disk()
