"""A thread that does one step after another until it is stopped; no error ends it."""

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger("fetal_planes.listener")
_AFTER_ERROR_S = 5.0


class Loop:
    """Calls `step` again and again; it returns the seconds after which it has something to do again.

    `wake` shortens the wait, `stop` ends the loop after the step in progress.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._name, self._step = name, step
        self._changed, self._stopped = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name=name)

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have the next step begin at once."""
        self._changed.set()

    def stop(self) -> None:
        """End the loop and wait for its thread."""
        self._stopped = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            self._changed.clear()
            try:
                wait_s = self._step()
            except Exception as error:  # only the type: the text may quote a file
                _LOG.error("a step failed; it is tried again", extra={"step": self._name, "reason": _describe(error)})
                wait_s = _AFTER_ERROR_S
            if not self._stopped:
                self._changed.wait(wait_s)


def _describe(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or type(error).__qualname__
