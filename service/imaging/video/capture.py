"""Open a video in memory with OpenCV's FFmpeg: no file, no network, no thread, no sound."""

import io
import os
import re

import cv2
import numpy as np

from service.errors import UnreadableFrame, UnsupportedFormat
from service.imaging.color import Colors
from service.imaging.dicom.dataset.elements import Data
from service.imaging.video.conversion import ConversionError, checked_conversion, has_log

# FFmpeg guesses the format of a file from its contents; playlists, for one, name other files. These name none.
_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "avi", "matroska,webm", "asf", "mpeg", "mpegts", "mpegvideo", "h264", "hevc")
# The picture coding extension of MPEG-2 (ISO/IEC 13818-2, 6.2.3.1); the first bit of byte 8 is `progressive_frame`.
_PICTURE_EXTENSION = re.compile(rb"\x00\x00\x01\xb5[\x80-\x8f]")
_EXTENSION_BYTES, _PROGRESSIVE, _PROGRESSIVE_BIT = 9, 8, 0x80
_HEAD = 64 * 1024  # bytes, in which a file with MPEG-2 has its first picture

_ONE_THREAD = (cv2.CAP_PROP_N_THREADS, 1)
_PACKETS = (cv2.CAP_PROP_FORMAT, -1)


def _configure_ffmpeg() -> None:
    """Set what OpenCV takes from the environment alone. FFmpeg writes what it thinks of a file on standard error."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{','.join(_FORMATS)}"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET


class _Stream(io.BufferedIOBase):
    """The bytes of a file, or a memory map of it, which OpenCV reads piece by piece.

    Interlaced frames of MPEG-2 are passed off as progressive ones, because OpenCV 5.0 cannot convert others. That bit
    changes nothing in how they are decoded.
    """

    def __init__(self, data: Data) -> None:
        self._data, self._at = data, 0
        self._is_mpeg2 = _PICTURE_EXTENSION.search(bytes(data[:_HEAD])) is not None

    def read(self, size: int | None = -1, /) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        piece = self._piece(self._at, min(end, len(self._data)))
        self._at += len(piece)
        return piece

    def _piece(self, start: int, end: int) -> bytes:
        if not self._is_mpeg2:
            return bytes(self._data[start:end])
        first = max(0, start - _EXTENSION_BYTES)
        piece = bytearray(self._data[first : end + _EXTENSION_BYTES])
        for found in _PICTURE_EXTENSION.finditer(piece):
            if found.start() + _PROGRESSIVE < len(piece):
                piece[found.start() + _PROGRESSIVE] |= _PROGRESSIVE_BIT
        return bytes(piece[start - first : end - first])

    def seek(self, offset: int, origin: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[origin]
        self._at = min(max(0, start + offset), len(self._data))
        return self._at


class Capture:
    """The first video stream of a file.

    Parameters
    ----------
    kind
        What the file is, for the refusal.
    packets
        Whether to step from packet to packet without decoding them.

    Raises
    ------
    UnreadableFrame
        The file has no such stream.
    UnsupportedFormat
        OpenCV on this platform does not say whether it could convert a frame.
    """

    def __init__(self, data: Data, kind: str = "video", *, packets: bool = False) -> None:
        if not has_log():
            raise UnsupportedFormat("Video cannot be read on this platform. Export its frames.")
        # OpenCV gives up its reference to the stream without Python's lock. It must not be the last one.
        self._stream = _Stream(data)
        parameters = [*_ONE_THREAD, *(_PACKETS if packets else ())]
        no_stream = f"The {kind} is damaged, cut short, or compressed in a way that is not supported."
        try:
            _configure_ffmpeg()
            # The types of OpenCV know no stream of Python, only its own class, which cannot be subclassed.
            self._capture = cv2.VideoCapture(self._stream, cv2.CAP_FFMPEG, parameters)  # type: ignore[call-overload]
        except cv2.error:
            raise UnreadableFrame(no_stream) from None
        if not self._capture.isOpened():
            raise UnreadableFrame(no_stream)

    def get(self, what: int) -> float:
        """Return a property, by its number in OpenCV."""
        return float(self._capture.get(what))

    @property
    def time_ms(self) -> float:
        """The time of the current frame; 0 where it has none."""
        return self.get(cv2.CAP_PROP_POS_MSEC)

    def step(self) -> bool:
        """Go to the next packet, or decode the next frame; return whether there is one."""
        return bool(self._capture.grab())

    def seek(self, time_ms: float) -> bool:
        """Go near a time and decode the frame there; return whether there is one."""
        return bool(self._capture.set(cv2.CAP_PROP_POS_MSEC, time_ms)) and self.step()

    def picture(self) -> Colors | None:
        """Return the current frame, turned upright: uint8 [H, W, 3] in blue, green, red; None where it is damaged.

        Raises UnsupportedFormat where OpenCV cannot convert it.
        """
        try:
            with checked_conversion():
                done, picture = self._capture.retrieve()
        except ConversionError:
            raise UnsupportedFormat(
                "The video is interlaced and not MPEG-2, or has an unusual pixel format. Convert it: "
                "`ffmpeg -i video -vf bwdif -pix_fmt yuv420p -an converted.mp4`."
            ) from None
        return np.asarray(picture, np.uint8) if done and picture is not None and picture.ndim == 3 else None

    def close(self) -> None:
        """Free the decoder."""
        self._capture.release()
