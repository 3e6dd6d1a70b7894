"""Check what a JPEG 2000 codestream makes a decoder allocate (ITU-T T.800, annex A).

A decoder keeps a record for each precinct and each code-block of each tile. The codestream chooses their sizes, so a
picture of 930 bytes may ask for billions of them. Encoders choose code-blocks of 32 x 32 or 64 x 64 and precincts of
128 x 128 or larger.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from service.errors import UnreadableFrame

_COD, _COC, _SOT, _SOD = 0xFF52, 0xFF53, 0xFF90, 0xFF93
_MAX_LAYERS = 1_000
_MAX_MARKERS = 1_000
_SPARE = 65_536  # records that any picture may have, however small it is
_LEAST_BLOCK = 64  # samples per record: code-blocks of 8 x 8


class Grid(NamedTuple):
    """The sizes of the picture and of a tile, in samples, and the number of components."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    components: int

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return -(-self.width // self.tile_width) * -(-self.height // self.tile_height)


def check_partition(data: bytes, at: int, grid: Grid) -> None:
    """Check the precincts, code-blocks and layers of a codestream whose SIZ marker is at `at`.

    Raises
    ------
    UnreadableFrame
        There would be more of them than any encoder makes of a picture of this size.
    """
    most = _SPARE + grid.width * grid.height * grid.components // _LEAST_BLOCK
    for style in _coding_styles(data, at):
        layers, levels, block, precincts = style
        if layers > _MAX_LAYERS:
            raise UnreadableFrame(f"The JPEG 2000 has more than {_MAX_LAYERS} quality layers.")
        records = sum(
            _count(grid, level, 1 << (exponents & 15), 1 << (exponents >> 4))
            for level, exponents in enumerate(precincts)
        )
        blocks = grid.width * grid.height // max(1, block) * grid.components
        if records > most or blocks > most or levels > 32:
            raise UnreadableFrame("The JPEG 2000 is cut into more precincts or code-blocks than its size justifies.")


def _count(grid: Grid, level: int, width: int, height: int) -> int:
    """Return the precincts of one resolution level, at least one for each tile and component."""
    columns = -(-grid.width // width)
    rows = -(-grid.height // height)
    # Level 0 is the smallest resolution; counting each as if it had the picture's size errs on the safe side only for
    # small precincts, which are what is looked for.
    return max(columns * rows // (1 << 2 * max(0, 5 - level)), grid.tiles) * grid.components


def _coding_styles(data: bytes, at: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield layers, decomposition levels, samples of a code-block and precinct sizes of each COD and COC marker."""
    layers = 1
    for marker, body in _segments(data, at):
        if marker == _COD and len(body) >= 10:
            layers = struct.unpack_from(">H", body, 2)[0]
            yield layers, *_style(body[5:], user_precincts=bool(body[0] & 1))
        elif marker == _COC and len(body) >= 7:
            yield layers, *_style(body[2:], user_precincts=bool(body[1] & 1))


def _style(parameters: bytes, *, user_precincts: bool) -> tuple[int, int, bytes]:
    levels, block_width, block_height = parameters[0], parameters[1] & 15, parameters[2] & 15
    precincts = parameters[5 : 6 + levels] if user_precincts else b"\xff"
    return levels, 1 << (block_width + block_height + 4), precincts


def _segments(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the marker segments of the main header and of the first tile's."""
    for _ in range(_MAX_MARKERS):
        if at + 4 > len(data):
            return
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _SOD or length < 2:
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
