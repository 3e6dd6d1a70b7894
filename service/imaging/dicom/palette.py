"""The colors of a palette (PS3.3, C.7.6.3.1.5 and C.7.9.2)."""

import numpy as np
from numpy.typing import NDArray

from service.errors import UnreadableFrame
from service.imaging.dicom.dataset.values import Values

COLORS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2  # kinds of segments
_MAX_SEGMENTS = 2**16


def palette_colors(values: Values, stored: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the color of each stored value, uint8 [N, 3] in red, green, blue."""
    descriptor = values.integers("RedPaletteColorLookupTableDescriptor")
    if len(descriptor) < 3:
        raise UnreadableFrame("The palette of the DICOM object has no descriptor.")
    count, first, bits = descriptor[0] % 65536 or 65536, descriptor[1], descriptor[2]
    # The first value that is mapped is signed where the stored values are.
    first -= 65536 if stored.min() < 0 and first > 32767 else 0
    tables = [_table(values, name, count, bits) for name in COLORS]
    indices = np.clip(stored.astype(np.int64) - first, 0, count - 1)
    colors = np.stack([table[indices] for table in tables], axis=-1)
    # Some scanners write 8-bit values into 16-bit entries; the standard expects them in the upper byte.
    return (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)


def _table(values: Values, name: str, count: int, bits: int) -> NDArray[np.uint16]:
    """Return the `count` entries of one color."""
    words = values.words(f"{name}PaletteColorLookupTableData")
    if words.size:
        # Two entries of 8 bits share a word, unless each has a word of its own.
        table = words if words.size >= count else words.view(np.uint8).astype(np.uint16)
    else:
        segments = values.words(f"Segmented{name}PaletteColorLookupTableData")
        table = _expand(segments if bits == 16 else segments.view(np.uint8).astype(np.uint16), count, bits)
    if table.size < count:
        raise UnreadableFrame("The palette of the DICOM object contradicts its descriptor.")
    return table[:count]


def _expand(segments: NDArray[np.uint16], count: int, bits: int) -> NDArray[np.uint16]:
    """Return the first `count` entries of a segmented table; no value maps to a later one."""
    table: list[int] = []
    at, resume, left = 0, 0, 0  # `left` segments are to be repeated; then the table goes on at `resume`
    for _ in range(_MAX_SEGMENTS):
        if len(table) >= count or at + 2 >= segments.size:
            break
        kind, length = int(segments[at]), int(segments[at + 1])
        if kind == _INDIRECT and not left:
            # The words of the offset are in little-endian order.
            resume = at + 2 + 32 // bits
            at, left = sum(int(word) << bits * n for n, word in enumerate(segments[at + 2 : resume])), length
            continue
        if kind == _DISCRETE:
            table.extend(segments[at + 2 : at + 2 + length].tolist())
            at += 2 + length
        elif kind == _LINEAR and table:
            table.extend(np.rint(np.linspace(table[-1], int(segments[at + 2]), length + 1)[1:]).astype(int).tolist())
            at += 3
        else:
            break
        if left:
            left -= 1
            at = at if left else resume
    return np.array(table, np.uint16)
