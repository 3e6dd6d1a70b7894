"""A line on a terminal that says how far a run is; silent where there is no terminal."""

import sys
from time import monotonic
from types import TracebackType
from typing import Self, TextIO

_EVERY_S = 0.1
_WIDTH = 30


class Progress:
    """Counts files and frames, and shows them a few times a second.

    Parameters
    ----------
    files
        How many there are to come; None where that is not known.
    stream
        Where the line is shown, if it is a terminal.
    """

    def __init__(self, files: int | None, stream: TextIO = sys.stderr) -> None:
        self._files = files
        self._stream = stream
        self._shown = stream.isatty()
        self._begun = monotonic()
        self._last = 0.0
        self._frames = 0
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._frames:
            self._show()
            self._stream.write("\n")

    def add(self, file: str) -> None:
        """A frame of `file` is done."""
        self._frames += 1
        self._seen.add(file)
        if self._shown and monotonic() - self._last > _EVERY_S:
            self._show()

    def _show(self) -> None:
        self._last = monotonic()
        rate = self._frames / max(self._last - self._begun, 1e-6)
        counts = f"{len(self._seen)}/{self._files or '?'} files, {self._frames} frames, {rate:.1f} frames/s"
        share = len(self._seen) / self._files if self._files else 0
        bar = "#" * round(_WIDTH * min(1.0, share))
        self._stream.write(f"\r[{bar:<{_WIDTH}}] {counts} ")
        self._stream.flush()
