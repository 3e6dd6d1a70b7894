"""An ultrasound object: read and check its header once, decode its frames one by one."""

from array import array
from dataclasses import dataclass

from service.imaging.color import Colors
from service.imaging.dicom.attributes import DicomAttributes
from service.imaging.dicom.codecs import Samples, decode_samples, frame_bytes
from service.imaging.dicom.dataset.elements import Data
from service.imaging.dicom.encapsulation import (
    Fragment,
    available_bytes,
    encapsulated_frames,
    encapsulated_stream,
    join,
    native_count,
    native_frame,
)
from service.imaging.dicom.frame_times import frame_times
from service.imaging.dicom.header import NATIVE, VIDEO, WANTED, Header, check_count, read_header
from service.imaging.dicom.photometric import Gray, to_colors, to_gray
from service.imaging.dicom.regions import tissue_region
from service.imaging.dicom.scan import DatasetLayout, scan_layout
from service.imaging.sector import Box


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """An ultrasound object whose frames can be decoded in any order.

    Attributes
    ----------
    layout, header
        Where its parts are, and what describes its pixels.
    count
        The number of frames that it stores; of a video, the number that it states.
    region
        The part of each frame that shows tissue, if the object declares it.
    attributes
        What a result copies.
    """

    layout: DatasetLayout
    header: Header
    count: int
    region: Box | None
    attributes: DicomAttributes
    _parts: list[list[Fragment]]  # the fragments of each frame; empty where the pixel data are not encapsulated

    @property
    def is_video(self) -> bool:
        """Whether its frames are in one stream, which `frame` does not decode."""
        return self.header.transfer_syntax in VIDEO

    def times(self, count: int) -> "array[int] | None":
        """Return when each of `count` frames is shown, as `frame_times` does."""
        return frame_times(self.header.values, count)

    def stream(self, max_bytes: int) -> bytes:
        """Return the stream of a video; raises what `encapsulated_stream` raises."""
        return encapsulated_stream(self.layout, max_bytes)

    def frame(self, index: int) -> tuple[Gray, Colors | None]:
        """Decode frame `index`, from 0 and below `count`, without reading the other frames.

        Returns
        -------
        Gray levels uint8 [H, W], and a small color copy as `reduce_colors` makes it.

        Raises
        ------
        UnreadableFrame, UnsupportedFormat
            The frame is damaged; its codestream is not supported.
        """
        data = self._encoded(index)
        samples = decode_samples(data, self.header)
        return to_gray(samples, self.header), to_colors(samples, data, self.header)

    def samples(self, index: int) -> Samples:
        """Decode frame `index` to its stored values, before a window; raise as `frame` does."""
        return decode_samples(self._encoded(index), self.header)

    def _encoded(self, index: int) -> bytes:
        if self._parts:
            return join(self.layout, self._parts[index])
        return native_frame(self.layout, index, frame_bytes(self.header, available_bytes(self.layout)))


def open_dicom(data: Data, *, max_bytes: int, max_side: int, max_pixels: int) -> DicomImage:
    """Read and check the header of a DICOM object and count its frames, without decoding a pixel.

    Parameters
    ----------
    data
        The whole object, with or without preamble and file meta information.
    max_bytes
        The maximum size of an inflated data set.
    max_side, max_pixels
        The limits on the sides and on the pixels of a frame.

    Raises
    ------
    UnsupportedFormat
        It is not an ultrasound image, or of a kind that is not supported.
    UnreadableFrame
        It is damaged, or its attributes contradict one another.
    FrameTooLarge
        It is over the limits.
    """
    layout = scan_layout(data, max_bytes, WANTED)
    header = read_header(layout, max_side, max_pixels)
    parts: list[list[Fragment]] = []
    if header.transfer_syntax in VIDEO:
        count = max(1, header.frames)  # its stream knows better
    elif header.transfer_syntax in NATIVE:
        count = native_count(layout, header.frames, frame_bytes(header, available_bytes(layout)))
    else:
        parts = encapsulated_frames(layout, header.frames)
        count = len(parts)
    check_count(header, count)
    return DicomImage(layout, header, count, tissue_region(header), DicomAttributes.of(layout), parts)
