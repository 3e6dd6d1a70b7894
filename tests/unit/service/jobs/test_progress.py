"""The progress bar of jobs."""

import io
from contextlib import closing

import pytest

from service.jobs.runner import JobProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "log"), [(Terminal(), False), (io.StringIO(), True)])
def test_the_bar_shows_files_and_frames(stream: io.StringIO, log: bool) -> None:
    with closing(JobProgress(4, "file", log=log, stream=stream)) as progress:
        for new_file in (1, 1, 0):
            progress.add(new_file, 1)
    assert "2/4" in stream.getvalue()
    assert "3 frames" in stream.getvalue()


def test_the_bar_is_silent_without_a_terminal() -> None:
    stream = io.StringIO()
    with closing(JobProgress(4, "file", stream=stream)) as progress:
        progress.add(1, 1)
    assert stream.getvalue() == ""
