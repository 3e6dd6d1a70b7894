"""Check the blocks of a GIF, and note its size and the times of its frames (GIF89a specification, W3C)."""

import struct
from array import array

from service.errors import UnreadableFrame

_HEADER, _DESCRIPTOR = 13, 10  # bytes
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9  # the label of the extension with a frame's delay
_SHORTEST_MS, _DEFAULT_MS = 20, 100  # browsers show a frame of less than the first for the second


def check_gif(data: bytes, max_frames: int) -> tuple[int, int, "array[int]"]:
    """Return width and height that hold every frame, and the time at which each is shown, in milliseconds.

    At most one frame more than `max_frames` is counted.

    Raises
    ------
    UnreadableFrame
        A block is longer than the file, or it has no frame.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, delay, time, times = _HEADER + _table_bytes(flags), _DEFAULT_MS, 0, array("i")
    while at < len(data) and data[at] != _TRAILER and len(times) <= max_frames:
        if data[at] == _EXTENSION:
            if data[at + 1] == _CONTROL:
                (hundredths,) = struct.unpack_from("<H", data, at + 4)
                delay = 10 * hundredths if 10 * hundredths >= _SHORTEST_MS else _DEFAULT_MS
            at = _skip_blocks(data, at + 2)
        elif data[at] == _IMAGE:
            left, top, across, down, flags = struct.unpack_from("<4HB", data, at + 1)
            width, height = max(width, left + across), max(height, top + down)
            at = _skip_blocks(data, at + _DESCRIPTOR + _table_bytes(flags) + 1)
            times.append(time)
            time += delay
        else:
            raise UnreadableFrame("The GIF is damaged: it has an unknown block.")
    if not times:
        raise UnreadableFrame("The GIF has no frame.")
    return width, height, times


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    """Return where a sequence of blocks ends; each begins with its length, and the last has none."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise UnreadableFrame("The GIF is damaged or cut short: a block is longer than the rest of the file.")
