"""One run: what a request has done in the workers. It can be stopped from outside, and it notes what it did."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Literal

Stage = Literal["queue", "decode", "preprocess", "infer", "explain", "encode"]


class StopReason(Enum):
    """Why a run was stopped."""

    DEADLINE = "deadline"
    CLIENT_LEFT = "client-left"


class WorkStopped(Exception):  # noqa: N818 (no fault of the run itself)
    """The run was stopped; nobody waits for its answer any more."""

    def __init__(self, why: StopReason) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered about one frame, as far as it tells a drift: nothing of the frame itself."""

    plane: str
    probability: float
    abstain_reason: str | None


class Work:
    """The work of one request.

    Attributes
    ----------
    stages
        Each stage that was passed, with its seconds.
    outcomes
        What was answered, one a frame.
    threads
        Threads of each run of the classifier.
    """

    def __init__(self) -> None:
        self.stages: list[tuple[Stage, float]] = []
        self.outcomes: list[Outcome] = []
        self.threads: list[int] = []
        self.stopped: StopReason | None = None
        self._on_stop: list[Callable[[WorkStopped], None]] = []

    def stop(self, why: StopReason) -> None:
        """End the run: at once where it waits or infers, else before its next stage."""
        if self.stopped is None:
            self.stopped = why
            for tell in tuple(self._on_stop):  # a copy: workers add and remove callbacks meanwhile
                tell(WorkStopped(why))

    @contextmanager
    def telling(self, tell: Callable[[WorkStopped], None]) -> Iterator[None]:
        """Have `tell` called, by whoever stops the run, if that happens meanwhile."""
        self._on_stop.append(tell)
        try:
            yield
        finally:
            self._on_stop.remove(tell)

    def check(self) -> None:
        """Go no further if the run was stopped.

        Raises
        ------
        Stopped
            It was.
        """
        if self.stopped is not None:
            raise WorkStopped(self.stopped)


_current: ContextVar[Work] = ContextVar("run")


def current_work() -> Work:
    """The run that this code works for; outside any, one that nobody stops and nobody reads."""
    return _current.get(None) or Work()


@contextmanager
def work_context(run: Work) -> Iterator[Work]:
    """Make `run` the current one, here and in the tasks and workers that are begun here."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Note how long a stage of the current run takes; a run that was stopped does not begin it."""
    run = current_work()
    run.check()
    started = perf_counter()
    try:
        yield
    finally:
        run.stages.append((name, perf_counter() - started))
