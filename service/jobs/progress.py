"""The progress bar of a job: files or shards done, frames, and the time left."""

import sys
from typing import TextIO

from tqdm import tqdm

_TERMINAL_EVERY_S, _LOG_EVERY_S = 0.2, 30.0


class JobProgress:
    """A bar of tqdm.

    Parameters
    ----------
    total, unit
        Number of files or shards, and which of them the bar counts.
    log
        Whether to show a line every 30 s where the stream is not a terminal; otherwise the bar is silent there.
    stream
        Where the bar is shown.
    """

    def __init__(self, total: int, unit: str, *, log: bool = False, stream: TextIO = sys.stderr) -> None:
        terminal = stream.isatty()
        self._frames = 0
        self._bar = tqdm(
            total=total,
            unit=unit,
            file=stream,
            disable=not (terminal or log),
            mininterval=_TERMINAL_EVERY_S if terminal else _LOG_EVERY_S,
        )

    def close(self) -> None:
        """Show the last state and end the line."""
        self._bar.close()

    def add(self, units: int, frames: int) -> None:
        """Count finished files or shards, and finished frames."""
        self._frames += frames
        elapsed = self._bar.format_dict["elapsed"] if not self._bar.disable else 0.0
        rate = self._frames / max(elapsed, 1e-6)
        self._bar.set_postfix_str(f"{self._frames} frames, {rate:.1f} frames/s", refresh=False)
        self._bar.update(units)
