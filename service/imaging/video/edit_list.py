"""Tell whether the edit list of an MP4 or MOV hides frames (ISO/IEC 14496-12, 8.6.6).

Most edit lists only make up for the delay of frames that refer to later ones.
"""

import struct
from collections.abc import Iterator

from service.imaging.dicom.dataset.elements import Data

_STARTS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MAX_HEADER = 64 * 2**20  # bytes; that of 100,000 frames has some 2 MB
_MAX_ENTRIES = 8
_TOLERANCE_S = 0.01  # the two clocks of a file round differently


def is_iso_file(data: Data) -> bool:
    """Return whether a file is made of the boxes of MP4 and MOV."""
    return bytes(data[4:8]) in _STARTS


def hides_frames(data: Data) -> bool:
    """Return whether frames at the start or at the end are not shown; False where the header is damaged."""
    at = data.find(b"moov") if is_iso_file(data) else -1
    if at < 0:
        return False
    header = bytes(data[at : at + _MAX_HEADER])
    try:
        movie_scale, _ = _clock(header, header.find(b"mvhd"))
        return any(_track_hides(track, movie_scale) for track in _video_tracks(header))
    except (struct.error, ZeroDivisionError):
        return False


def _video_tracks(header: bytes) -> Iterator[bytes]:
    start = header.find(b"trak")
    while start >= 0:
        end = header.find(b"trak", start + 4)
        track = header[start:end] if end >= 0 else header[start:]
        if b"vide" in track and b"elst" in track:
            yield track
        start = end


def _track_hides(track: bytes, movie_scale: int) -> bool:
    scale, duration = _clock(track, track.find(b"mdhd"))
    edits = [(length, start) for length, start in _edits(track, track.find(b"elst")) if start >= 0]
    if len(edits) != 1:
        return len(edits) > 1
    length, start = edits[0]
    delay = _delay(track, track.find(b"ctts"))
    shown_s, stored_s = length / movie_scale, (duration - start) / scale
    return (start - delay) / scale > _TOLERANCE_S or 0 < shown_s < stored_s - _TOLERANCE_S


def _clock(box: bytes, at: int) -> tuple[int, int]:
    """Return ticks per second, and the duration in ticks, of an `mvhd` or `mdhd` (8.2.2, 8.4.2)."""
    scale, duration = struct.unpack_from(">IQ" if box[at + 4] else ">II", box, at + (24 if box[at + 4] else 16))
    return scale, duration


def _edits(track: bytes, at: int) -> list[tuple[int, int]]:
    """Return length and start of each edit; a start of -1 is an empty one."""
    wide, count = struct.unpack_from(">B3xI", track, at + 4)
    layout, size = (">Qq", 20) if wide else (">Ii", 12)
    return [struct.unpack_from(layout, track, at + 12 + size * entry) for entry in range(min(count, _MAX_ENTRIES))]


def _delay(track: bytes, at: int) -> int:
    """Return by how much the first frame is shown later than it is decoded (`ctts`, 8.6.1.3)."""
    return int(struct.unpack_from(">i", track, at + 16)[0]) if at >= 0 else 0
