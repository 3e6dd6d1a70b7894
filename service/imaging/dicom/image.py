"""An ultrasound object: read and check its header once, decode its frames one by one."""

from dataclasses import dataclass, field

from service.imaging.color import Colors
from service.imaging.dicom.attributes import DicomAttributes, copied_attributes
from service.imaging.dicom.codecs import decode_samples, frame_bytes
from service.imaging.dicom.color import to_colors
from service.imaging.dicom.encapsulation import Fragment, encapsulated_frames, join, native_frame
from service.imaging.dicom.header import NATIVE, Header, read_header
from service.imaging.dicom.photometric import Gray, to_gray
from service.imaging.dicom.regions import tissue_region
from service.imaging.dicom.scan import Data, DatasetLayout, scan_layout
from service.imaging.sector import Box


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """An ultrasound object whose frames can be decoded in any order.

    Attributes
    ----------
    layout, header
        Where its parts are, and what describes its pixels.
    region
        The part of each frame that shows tissue, if the object declares it.
    attributes
        What a report copies.
    """

    layout: DatasetLayout
    header: Header
    region: Box | None
    attributes: DicomAttributes
    _parts: list[list[Fragment]] = field(default_factory=list)  # found with the first frame

    @property
    def count(self) -> int:
        """The number of frames."""
        return self.header.frames

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
        if self.header.transfer_syntax in NATIVE:
            data = native_frame(self.layout, index, self.count, frame_bytes(self.header))
        else:
            if not self._parts:
                self._parts.extend(encapsulated_frames(self.layout, self.count))
            data = join(self.layout, self._parts[index])
        samples = decode_samples(data, self.header)
        return to_gray(samples, self.header), to_colors(samples, data, self.header)


def open_dicom(data: Data, *, max_bytes: int, max_side: int, max_pixels: int) -> DicomImage:
    """Read and check the header of a DICOM object, without decoding a pixel.

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
    layout = scan_layout(data, max_bytes)
    header = read_header(layout, max_side, max_pixels)
    return DicomImage(layout, header, tissue_region(header), copied_attributes(header.attributes))
