"""A line that says how far a run is and when it will be done: on a terminal in its place, in a log now and then."""

import sys
from time import monotonic
from typing import TextIO

_EVERY_S, _LOGGED_EVERY_S = 0.2, 30.0


class Progress:
    """Counts shards and frames.

    Parameters
    ----------
    shards
        How many there are to do in this run.
    stream
        Where the line is shown.
    """

    def __init__(self, shards: int, stream: TextIO = sys.stderr) -> None:
        self._shards, self._stream = shards, stream
        self._terminal = stream.isatty()
        self._begun = self._shown = monotonic()
        self._done = self._frames = 0

    def add(self, frames: int) -> None:
        """A shard is done, of so many frames."""
        self._done, self._frames = self._done + 1, self._frames + frames
        now = monotonic()
        if now - self._shown >= (_EVERY_S if self._terminal else _LOGGED_EVERY_S) or self._done == self._shards:
            self._shown = now
            last = self._done == self._shards or not self._terminal
            self._stream.write(f"{chr(13) if self._terminal else ''}{self.text(now - self._begun)}{chr(10) * last}")
            self._stream.flush()

    def text(self, seconds: float) -> str:
        """The line, so many seconds after the beginning."""
        left = seconds / max(self._done, 1) * (self._shards - self._done)
        rate = self._frames / max(seconds, 1e-6)
        return f"{self._done}/{self._shards} shards, {self._frames} frames, {rate:.1f} frames/s, {_told(left)} left "


def _told(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 120 else f"{round(seconds)} s"
