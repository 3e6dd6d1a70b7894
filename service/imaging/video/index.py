"""The index of a video: when each frame is shown, and which ones a decoder can start with.

The packets are read and nothing is decoded, which takes microseconds per frame. A header is not trusted with the number
of frames.
"""

from array import array
from bisect import bisect_left
from contextlib import closing
from dataclasses import dataclass

import cv2

from service.errors import FrameTooLarge, UnreadableFrame
from service.imaging.dicom.dataset.elements import Data
from service.imaging.video.capture import Capture
from service.imaging.video.edit_list import hides_frames, is_iso_file

MAX_FRAMES = 100_000
MAX_SECONDS = 3_600
_SAME_MS = 2
"""Milliseconds; two time stamps at most this far apart are the same one, rounded twice."""


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """The frames of a video in the order in which they are shown.

    Attributes
    ----------
    times
        Of each frame, in whole milliseconds from the first one.
    keys
        Indices of the frames that refer to no earlier one, in rising order.
    timed
        Whether the file states the times; without, they follow from the frame rate and no decoder can seek.
    missing
        Whether the file is cut short: its header states more frames. The last one of `times` then stands for them.
    """

    times: "array[int]"
    keys: "array[int]"
    timed: bool
    missing: bool

    @property
    def count(self) -> int:
        """The number of frames."""
        return len(self.times)

    def at(self, time_ms: float) -> int | None:
        """Return the index of the frame that is shown from this time on; None where there is none."""
        found = bisect_left(self.times, round(time_ms) - _SAME_MS)
        while found < self.count and self.times[found] <= time_ms + _SAME_MS:
            following = found + 1
            if following == self.count or abs(self.times[following] - time_ms) >= abs(self.times[found] - time_ms):
                return found
            found = following
        return None

    def key_before(self, index: int) -> int:
        """Return the last frame up to `index` that a decoder can start with; 0 where none is known."""
        found = bisect_left(self.keys, index + 1)
        return self.keys[found - 1] if found else 0


def read_index(data: Data) -> VideoIndex:
    """Read the packets of a video.

    Raises
    ------
    UnreadableFrame
        The file is damaged, or says nothing about time.
    FrameTooLarge
        It has more than `MAX_FRAMES` frames, or lasts longer than `MAX_SECONDS`.
    """
    trimmed = hides_frames(data)  # such packets look like others: the file is decoded once for its index
    with closing(Capture(data, packets=not trimmed)) as capture:
        packets = _packets(capture, trimmed)
        rate, stated = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if not packets:
        raise UnreadableFrame("The video has no frames.")
    # FFmpeg knows the number from the header of these files, and estimates it elsewhere.
    missing = not trimmed and is_iso_file(data) and data.find(b"moof") < 0 and len(packets) < stated <= MAX_FRAMES
    times = array("i", sorted(time for time, _ in packets))
    timed = len(times) == 1 or all(times[at] < times[at + 1] for at in range(len(times) - 1))
    if not timed:
        times = _times_by_rate(len(times), rate)
        keys = array("i", [number for number, (_, is_key) in enumerate(packets) if is_key])
    else:
        keys = array("i", sorted(bisect_left(times, time) for time, is_key in packets if is_key))
    if missing:
        times.append(times[-1] + max(1, round((times[-1] - times[0]) / max(1, len(times) - 1))))
    if times[-1] - times[0] > 1000 * MAX_SECONDS:
        raise FrameTooLarge(f"The video lasts longer than the limit of {MAX_SECONDS} s; cut it into shorter ones.")
    return VideoIndex(array("i", [time - times[0] for time in times]), keys, timed, missing)


def _packets(capture: Capture, decoded: bool) -> list[tuple[int, bool]]:
    """Return time in milliseconds and whether it is a key frame, for each packet from the first key frame on."""
    packets = list[tuple[int, bool]]()
    while capture.step():
        is_key = decoded or capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) > 0
        time = round(capture.time_ms)
        if abs(time) >= 2**30:
            raise UnreadableFrame("The time stamps of the video are damaged.")
        if packets or is_key:  # nothing can be decoded before a key frame
            packets.append((time, is_key and not decoded))
        if len(packets) > MAX_FRAMES:
            raise FrameTooLarge(f"The video has more than {MAX_FRAMES} frames; cut it into shorter ones.")
    # Frames that are shown before the key frame that they follow in the file refer to frames before it.
    first = packets[0][0] if packets else 0
    return packets if decoded else [each for each in packets if each[0] >= first]


def _times_by_rate(count: int, rate: float) -> "array[int]":
    if not 0.01 <= rate <= 1_000:
        raise UnreadableFrame("The video states neither the times of its frames nor a frame rate.")
    return array("i", [round(1000 * number / rate) for number in range(count)])
