"""The progress bar of a job: files or shards done, frames, and the time left."""

import sys
from typing import TextIO

from tqdm import tqdm

_TERMINAL_EVERY_S, _LOG_EVERY_S = 0.2, 30.0


class JobProgress:
    """A bar of tqdm over `total` files or shards.

    Where the stream is no terminal, it shows a line every 30 s if `log` is true, and nothing otherwise.
    """

    def __init__(self, total: int, unit: str, *, log: bool = False, stream: TextIO = sys.stderr) -> None:
        terminal = stream.isatty()
        every_s = _TERMINAL_EVERY_S if terminal else _LOG_EVERY_S
        self._bar = tqdm(total=total, unit=unit, file=stream, disable=not (terminal or log), mininterval=every_s)
        self._frames = 0

    def close(self) -> None:
        """Show the last state and end the line."""
        self._bar.close()

    def add(self, units: int, frames: int) -> None:
        """Count finished files or shards, and finished frames."""
        self._frames += frames
        rate = self._frames / max(self._bar.format_dict["elapsed"], 1e-6)
        self._bar.set_postfix_str(f"{self._frames} frames, {rate:.1f} frames/s", refresh=False)
        self._bar.update(units)
