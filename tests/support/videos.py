"""Short videos of drawn frames, written by OpenCV when a test runs, and changed where OpenCV cannot write them."""

import struct
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

CODECS = {
    "mp4": ("mp4", "mp4v"),
    "mov": ("mov", "mp4v"),
    "avi": ("avi", "MJPG"),
    "mkv": ("mkv", "VP80"),
    "wmv": ("wmv", "WMV2"),
    "mpeg": ("mpg", "MPG2"),
}
"""For each format, a suffix from which FFmpeg tells it, and a codec."""


LOSSLESS = "FFV1"
"""A codec for AVI and MKV that keeps every pixel."""


def write_video(frames: Sequence[Pixels], kind: str = "mp4", fps: float = 25, codec: str = "") -> bytes:
    """Return a video of frames [H, W]."""
    suffix, default = CODECS[kind]
    height, width = frames[0].shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"video.{suffix}"
        code = cv2.VideoWriter.fourcc(*(codec or default))
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, (width, height))
        assert writer.isOpened(), kind
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
        writer.release()
        return path.read_bytes()


def numbered(count: int, height: int = 240, width: int = 320) -> list[Pixels]:
    """Return frames that tell their index, `read_number`, in 12 tiles of black or white over a gray ground."""
    frames = []
    for number in range(count):
        frame = np.full((height, width), 90, np.uint8)
        for bit in range(12):
            left, side = 8 + bit * (width - 16) // 12, (width - 16) // 12
            frame[height // 3 : height // 3 + side, left : left + side] = 235 if number >> bit & 1 else 20
        frames.append(frame)
    return frames


def read_number(pixels: Pixels) -> int:
    """Return the index that a frame of `numbered` tells, at any size."""
    width = pixels.shape[1]
    scaled = cv2.resize(pixels, (320, round(pixels.shape[0] * 320 / width)), interpolation=cv2.INTER_AREA)
    row = scaled.shape[0] // 3 + 12
    tiles = [scaled[row - 3 : row + 3, 8 + bit * 304 // 12 + 12] for bit in range(12)]
    return sum((float(tile.mean()) > 127) << bit for bit, tile in enumerate(tiles))


@cache
def sample(kind: str, count: int = 40) -> bytes:
    """Return a video of numbered frames at 20 frames per second; a key frame comes every 12 frames."""
    return write_video(numbered(count), kind, 20 if kind != "mpeg" else 25)


def turned(mp4: bytes, degrees: int) -> bytes:
    """Return an MP4 whose header says that a player turns it clockwise (ISO/IEC 14496-12, 8.3.2)."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = (number << 16 for number in matrices[degrees])
    at = mp4.index(b"tkhd") + 4 + 40
    return mp4[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + mp4[at + 36 :]


def retimed(mp4: bytes, durations: Sequence[int]) -> bytes:
    """Return an MP4 whose frames are shown for these multiples of their duration (ISO/IEC 14496-12, 8.6.1.2)."""
    at = mp4.index(b"stts") - 4
    length, _, _, count, unit = struct.unpack_from(">I4sQII", mp4, at)
    assert count == len(durations)
    table = b"".join(struct.pack(">II", 1, unit * each) for each in durations)
    box = struct.pack(">I4sII", 16 + len(table), b"stts", 0, len(durations)) + table
    changed = bytearray(mp4[:at] + box + mp4[at + length :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = mp4.rindex(name, 0, at) - 4
        (size,) = struct.unpack_from(">I", mp4, start)
        struct.pack_into(">I", changed, start, size + len(box) - length)
    list_at = changed.index(b"elst") + 12
    (shown,) = struct.unpack_from(">I", changed, list_at)
    struct.pack_into(">I", changed, list_at, shown * sum(durations) // count)
    for name in (b"mdhd", b"mvhd"):
        start = changed.index(name) + 20
        (lasts,) = struct.unpack_from(">I", changed, start)
        struct.pack_into(">I", changed, start, lasts * sum(durations) // count)
    return bytes(changed)


def trimmed(mp4: bytes, frames: int, fps: int) -> bytes:
    """Return an MP4 whose edit list hides the first frames (8.6.6)."""
    at = mp4.index(b"mdhd") + 4
    (scale,) = struct.unpack_from(">I", mp4, at + 12)
    list_at = mp4.index(b"elst") + 4
    assert mp4[list_at] == 0
    changed = bytearray(mp4)
    struct.pack_into(">i", changed, list_at + 12, frames * scale // fps)
    return bytes(changed)


def with_aspect(mpeg: bytes, code: int) -> bytes:
    """Return an MPEG-2 stream with another aspect ratio: 2 is 4:3, 3 is 16:9 (ISO/IEC 13818-2, 6.3.3)."""
    changed, at = bytearray(mpeg), 0
    while (at := changed.find(b"\0\0\1\xb3", at)) >= 0:
        changed[at + 7] = code << 4 | changed[at + 7] & 0x0F
        at += 4
    return bytes(changed)


def interlaced(mpeg: bytes) -> bytes:
    """Return an MPEG-2 stream whose sequences and pictures say that they are interlaced (6.3.5, 6.3.10)."""
    changed, at = bytearray(mpeg), 0
    while (at := changed.find(b"\0\0\1\xb5", at)) >= 0:
        kind = changed[at + 4] >> 4
        if kind == 1:
            changed[at + 5] &= ~0x08  # progressive_sequence
        elif kind == 8:
            changed[at + 8] &= ~0x80  # progressive_frame
        at += 4
    return bytes(changed)


def with_picture(avi: bytes, number: int, jpeg: bytes) -> bytes:
    """Return an AVI of Motion JPEG with another picture as a frame, of any size, in no more bytes."""
    at = avi.index(b"movi")
    for _ in range(number + 1):
        at = avi.index(b"00dc", at + 4)
    (length,) = struct.unpack_from("<I", avi, at + 4)
    assert len(jpeg) <= length
    return avi[: at + 8] + jpeg.ljust(length, b"\0") + avi[at + 8 + length :]


def woven(count: int, height: int = 288, width: int = 320) -> list[Pixels]:
    """Return frames of two fields of a bar that moves 12 pixels from field to field."""
    frames = []
    for number in range(count):
        frame = np.full((height, width), 40, np.uint8)
        for field in (0, 1):
            left = 20 + 12 * (2 * number + field) % (width - 80)
            frame[40 + field : height - 40 : 2, left : left + 40] = 210
        frames.append(frame)
    return frames
