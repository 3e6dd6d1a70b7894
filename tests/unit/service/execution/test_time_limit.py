import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from service.execution.time_limit import TimeLimit, TimeLimitError
from service.execution.work import WorkStopped, current_work
from tests.support.waiting import eventually


def test_a_function_that_returns_in_time_is_as_if_called() -> None:
    limit = TimeLimit(30)
    assert limit.run(lambda: 7) == 7
    assert not limit.stuck

    def fail() -> None:
        raise KeyError("of the function itself")

    with pytest.raises(KeyError, match="of the function itself"):
        limit.run(fail)


def test_work_that_can_be_stopped_is_stopped() -> None:
    ended = threading.Event()

    def wait_for_stop() -> None:
        work, stopped = current_work(), threading.Event()
        with work.on_stop(lambda _: stopped.set()):
            stopped.wait()
        ended.set()

    limit = TimeLimit(0.05)
    with pytest.raises(TimeLimitError, match=r"more than 0\.05 s"):
        limit.run(wait_for_stop)
    assert ended.wait(5)
    assert limit.run(lambda: 1) == 1


def test_a_function_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.execution.time_limit._STOP_WITHIN_S", 0.05)
    release, limit = threading.Event(), TimeLimit(0.05)
    started = monotonic()
    with pytest.raises(TimeLimitError, match="more than"):
        limit.run(release.wait)
    assert monotonic() - started < 5
    assert limit.stuck
    with pytest.raises(TimeLimitError, match="has not ended"):
        limit.run(lambda: 1)
    release.set()
    eventually(lambda: not limit.stuck)
    assert limit.run(lambda: 1) == 1


def test_stop_ends_the_function_that_runs() -> None:
    limit, running = TimeLimit(600), threading.Event()

    def wait_for_stop() -> None:
        work, stopped = current_work(), threading.Event()
        with work.on_stop(lambda _: stopped.set()):
            running.set()
            stopped.wait()
        work.check()

    with ThreadPoolExecutor(1) as threads:
        called = threads.submit(limit.run, wait_for_stop)
        assert running.wait(5)
        limit.stop()
        with pytest.raises(WorkStopped):
            called.result(5)
    TimeLimit(1).stop()  # nothing runs
