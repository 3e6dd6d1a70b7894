"""Decode the frames of a video, one by one: forward, or from the nearest frame that a decoder can start with."""

import cv2
import numpy as np

from service.errors import UnreadableFrame
from service.imaging.color import reduce_colors
from service.imaging.dicom.dataset.elements import Data
from service.imaging.frame import Frame, Frames, Limits
from service.imaging.gray import Gray
from service.imaging.video.capture import Capture
from service.imaging.video.index import read_index
from service.imaging.video.interlaced import is_combed, keep_first_field
from service.schemas.answers import Format

_SEEK_BACK_MS = (0, 1_000, 5_000, 20_000)  # a seek may end behind the frame that it was asked for
_MAX_ASPECT = 8.0  # of a pixel; no recorder comes close


def open_video(data: Data, format_: Format, limits: Limits) -> Frames[Frame]:
    """Read the index of a video and check its size; raises what `open_frames` raises."""
    reader = VideoReader(data, format_, limits)
    # Frames after a damaged one build on it, and a decoder that has given up stays there.
    return Frames(format_, reader.index.count, False, reader.pixels, reader, times=reader.index.times)


def is_bare(data: Data) -> bool:
    """Return whether a video is a stream without a container, which states no times and mostly no frame rate."""
    start = bytes(data[:4])
    return start == b"\0\0\0\1" or (start[:3] == b"\0\0\1" and start[3:] != b"\xba")


class VideoReader:
    """Reads the frames of a video.

    Attributes
    ----------
    index
        Of its packets.
    pixels
        Of each upright frame, with square pixels.
    """

    def __init__(self, data: Data, format_: Format, limits: Limits) -> None:
        self._data, self._format, self._limits = data, format_, limits
        self._capture = Capture(data, "video" if format_ == "dicom" else f"{format_.upper()} video")
        coded = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        limits.check_size(*coded)
        self._turned = round(self._capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
        aspect = self._aspect()
        self._aspect_ratio = 1 / aspect if self._turned in (90, 270) else aspect
        width, height = self._square(*coded)
        limits.check_size(width, height)
        self.pixels = max(width * height, coded[0] * coded[1])
        self.index = read_index(data)
        self._timed = self.index.timed
        self._position = -1  # index of the frame that was decoded last

    def __call__(self, index: int) -> Frame:
        """Decode frame `index`; raises UnreadableFrame."""
        if self.index.missing and index == self.index.count - 1:
            raise UnreadableFrame(f"The video is cut short: its header states more than its {index} frames.")
        self._go_to(index)
        colors = self._capture.picture()
        if colors is None:
            raise self._damaged(index)
        height, width = colors.shape[:2]
        self._limits.check_size(width, height)  # a stream may change its size
        pixels, colors = self._first_field(colors)
        small = reduce_colors(colors)
        square = self._square(width, height)
        if square != (width, height):
            pixels = np.asarray(cv2.resize(pixels, square, interpolation=cv2.INTER_LINEAR), np.uint8)
        return Frame(
            pixels, self._format, index, self.index.count, colors=small, seconds=self.index.times[index] / 1000
        )

    def _first_field(self, colors: Gray) -> tuple[Gray, Gray]:
        pixels = np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2GRAY), np.uint8)
        if self._turned == 0 and is_combed(pixels):
            return keep_first_field(pixels), keep_first_field(colors)
        return pixels, colors

    def _aspect(self) -> float:
        """Return width by height of a pixel as it is stored, 1 where the file does not say or says nonsense."""
        across, down = self._capture.get(cv2.CAP_PROP_SAR_NUM), self._capture.get(cv2.CAP_PROP_SAR_DEN)
        aspect = across / down if across > 0 and down > 0 else 1.0
        return aspect if 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT else 1.0

    def _square(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of a frame with square pixels: one side grows, none shrinks."""
        aspect = self._aspect_ratio
        return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))

    def _go_to(self, index: int) -> None:
        """Decode up to frame `index`."""
        leap = self._timed and self.index.key_before(index) > self._position + 1
        if index < self._position or leap:
            self._seek(index)
        while self._position < index:
            if not self._grab():
                raise self._damaged(index)
        if self._position != index:
            raise self._damaged(index)

    def _seek(self, index: int) -> None:
        """Go near frame `index`, and never behind it."""
        target = self.index.times[index]
        for back in _SEEK_BACK_MS if self._timed else ():
            if target <= back:
                break
            if self._capture.seek(target - back):
                found = self.index.at(self._capture.time_ms)
                if found is not None and found <= index:
                    self._position = found
                    return
        self._capture.close()
        self._capture, self._position = Capture(self._data), -1

    def _grab(self) -> bool:
        """Decode the next frame. Its time says which one it is: a decoder leaves out frames that are damaged."""
        if not self._capture.step():
            return False
        found = self.index.at(self._capture.time_ms) if self._timed else None
        if self._position < 0 and found:
            self._timed, found = False, None  # the decoder counts time otherwise: in a bare stream, for one
        self._position = found if found is not None and found > self._position else self._position + 1
        return True

    def _damaged(self, index: int) -> UnreadableFrame:
        return UnreadableFrame(
            f"Frame {index} of the video is damaged or compressed in a way that is not supported; no frame after it is "
            "read."
        )
