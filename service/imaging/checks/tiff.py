"""Check and count the directories of a TIFF: how much their tags make a reader read."""

import struct

from service.errors import UnreadableFrame

_MAX_TAGS = 4_096


def check_tiff(data: bytes, most: int = 1_000) -> int:
    """Check the directories of a TIFF or BigTIFF: their tags name no more bytes than the file has.

    Returns
    -------
    The number of directories, which is the number of pages: at least 1, at most `most` + 1. A broken chain ends the
    count.

    Raises
    ------
    UnreadableFrame
        A directory has too many tags, or they name more bytes than there are.
    """
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    count_format, entry_format, pointer = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        while offset and offset not in seen and len(seen) <= most:
            (count,) = struct.unpack_from(order + count_format, data, offset)
            seen.add(offset)
            if count > _MAX_TAGS:
                raise UnreadableFrame(f"The TIFF has more than {_MAX_TAGS} tags in a directory.")
            start = offset + struct.calcsize(order + count_format)
            entries = struct.iter_unpack(
                order + entry_format, data[start : start + 20 * count if big else start + 12 * count]
            )
            if sum(values * _TIFF_TYPE_SIZE.get(kind, 1) for _, kind, values, _ in entries) > 4 * len(data):
                raise UnreadableFrame("The TIFF's tags name more bytes than the file has.")
            (offset,) = struct.unpack_from(order + pointer, data, start + (20 if big else 12) * count)
    except (struct.error, OverflowError):
        pass  # cut short: the decoder says so
    return max(1, len(seen))


_TIFF_TYPE_SIZE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8, 18: 8}
