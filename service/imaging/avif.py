"""Read an AVIF still with OpenCV, which applies neither its rotation nor its alpha (AV1 Image File Format)."""

import struct

import cv2
import numpy as np

from service.errors import UnreadableFrame, UnsupportedFormat
from service.imaging.color import reduce_colors
from service.imaging.frame import Frame, Frames, Limits, unreadable
from service.imaging.gray import Gray

_HEAD = 64 * 1024  # bytes that hold the properties of the picture
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
_MOST_SIZES = 64  # of tiles


def open_avif(data: bytes, limits: Limits) -> Frames[Frame]:
    """Read the size of a still and check it; raises what `open_frames` raises."""
    if data[8:12] == b"avis":
        raise UnsupportedFormat("The AVIF is animated. Convert it to a video: `ffmpeg -i animation.avif video.mp4`.")
    width, height = _largest_size(data[:_HEAD])
    limits.check_size(width, height)
    return Frames("avif", 1, True, width * height, lambda _: _read(data, limits))


def _largest_size(head: bytes) -> tuple[int, int]:
    """Return the largest size of the picture, its tiles and its thumbnails (ISO/IEC 23008-12, 6.5.3)."""
    sizes, at = list[tuple[int, int]](), 0
    while (at := head.find(b"ispe", at)) >= 0 and len(sizes) < _MOST_SIZES:
        sizes.append(struct.unpack_from(">II", head, at + 8))
        at += 4
    if not sizes:
        raise UnreadableFrame("The AVIF is damaged: it does not state its size.")
    return max(sizes, key=lambda size: size[0] * size[1])


def _read(data: bytes, limits: Limits) -> Frame:
    colors = _decode(data, cv2.IMREAD_COLOR)
    limits.check_size(colors.shape[1], colors.shape[0])
    if _ALPHA in data[:_HEAD]:
        picture = _decode(data, cv2.IMREAD_UNCHANGED)
        if picture.ndim == 3 and picture.shape[2] == 4:
            alpha = picture[..., 3].astype(np.float32) / max(1, int(picture[..., 3].max()))
            colors = np.rint(colors * alpha[..., None]).astype(np.uint8) if alpha.any() else colors
    colors = _turn(colors, data[:_HEAD])
    pixels = np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2GRAY), np.uint8)
    return Frame(pixels, "avif", colors=reduce_colors(colors))


def _decode(data: bytes, flags: int) -> Gray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise unreadable("avif")
    return np.asarray(picture, np.uint8) if flags == cv2.IMREAD_COLOR else np.asarray(picture)


def _turn(picture: Gray, head: bytes) -> Gray:
    """Apply rotation, counterclockwise in quarters, then mirroring (ISO/IEC 23008-12, 6.5.10 and 6.5.12)."""
    if (at := head.find(b"irot")) >= 0:
        picture = np.rot90(picture, head[at + 4] & 3)
    if (at := head.find(b"imir")) >= 0:
        picture = np.flip(picture, 1 if head[at + 4] & 1 else 0)
    return np.ascontiguousarray(picture)
