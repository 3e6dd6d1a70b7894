"""The work of one request: it can be stopped from outside, and it records what it did."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Literal, Protocol

Stage = Literal["queue", "decode", "infer", "explain", "encode"]


class StopReason(Enum):
    """Why work was stopped."""

    DEADLINE = "deadline"
    CLIENT_LEFT = "client-left"


class WorkStopped(Exception):  # noqa: N818 (not an error of the work itself)
    """The work was stopped; its answer is not needed any more."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the metrics need of an answer to detect a drift; it holds nothing of the frame."""

    plane: str
    probability: float
    abstain_reason: str | None


class Workers(Protocol):
    """The threads that do a request's work."""

    def step_aside(self) -> AbstractContextManager[None]:
        """Return a context in which other work has the core of the calling thread; raises Overloaded without room."""

    def check_room(self) -> None:
        """Raise Overloaded where no further thread may step aside."""


class AnyThreads:
    """Threads that keep their cores."""

    def step_aside(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def check_room(self) -> None:
        """Do nothing."""


class Work:
    """The work of one request."""

    def __init__(self, request_id: str = "") -> None:
        self.request_id = request_id  # appears in every answer; empty outside a request
        self.stages: list[tuple[Stage, float]] = []  # each stage passed, with its seconds
        self.outcomes: list[Outcome] = []  # one for each frame answered
        self.threads: list[int] = []  # of each run of the classifier
        self.stopped: StopReason | None = None
        self.workers: Workers = AnyThreads()
        self._callbacks: list[Callable[[WorkStopped], None]] = []

    def stop(self, reason: StopReason) -> None:
        """End the work: at once where it waits or runs the model, else before its next stage."""
        if self.stopped is None:
            self.stopped = reason
            for callback in tuple(self._callbacks):  # a copy: workers add and remove callbacks meanwhile
                callback(WorkStopped(reason))

    @contextmanager
    def on_stop(self, callback: Callable[[WorkStopped], None]) -> Iterator[None]:
        """Call `callback`, in the thread that stops the work, if that happens within the context."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)

    def check(self) -> None:
        """Raise WorkStopped if the work was stopped."""
        if self.stopped is not None:
            raise WorkStopped(self.stopped)


_current: ContextVar[Work] = ContextVar("work")


def current_work() -> Work:
    """Return the work that the calling code belongs to; outside a request, new work that nobody stops or reads."""
    return _current.get(None) or Work()


@contextmanager
def work_context(work: Work) -> Iterator[Work]:
    """Make `work` the current one, here and in the tasks and worker threads that are started here."""
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Record the seconds of a stage of the current work; raises WorkStopped at the start if the work was stopped."""
    work = current_work()
    work.check()
    started = perf_counter()
    try:
        yield
    finally:
        work.stages.append((name, perf_counter() - started))
