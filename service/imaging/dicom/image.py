"""An ultrasound object: its header read and checked once, its frames decoded one by one."""

from dataclasses import dataclass, field

from service.imaging.color import Colors
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
    """An ultrasound object, ready to give any of its frames.

    Attributes
    ----------
    structure, header
        Where its parts lie, and what describes its pixels.
    region
        The part of each frame that shows tissue, where the scanner says so.
    """

    structure: DatasetLayout
    header: Header
    region: Box | None
    _parts: list[list[Fragment]] = field(default_factory=list)  # looked for once, with the first frame

    @property
    def count(self) -> int:
        """How many frames there are."""
        return self.header.frames

    def frame(self, index: int) -> tuple[Gray, Colors | None]:
        """Decode frame `index`, from 0 and below `count`; the other frames are not read.

        Returns
        -------
        Gray levels uint8 [H, W], and a small copy in color as `reduce_colors` makes it.

        Raises
        ------
        UnreadableFrame, UnsupportedFormat
            The frame is damaged, or of a kind that is not read.
        """
        if self.header.transfer_syntax in NATIVE:
            data = native_frame(self.structure, index, self.count, frame_bytes(self.header))
        else:
            if not self._parts:
                self._parts.extend(encapsulated_frames(self.structure, self.count))
            data = join(self.structure, self._parts[index])
        samples = decode_samples(data, self.header)
        return to_gray(samples, self.header), to_colors(samples, data, self.header)


def open_dicom(data: Data, *, max_bytes: int, max_side: int, max_pixels: int) -> DicomImage:
    """Read the header of a DICOM object and check it; no pixel is decoded.

    Parameters
    ----------
    data
        The whole object, with or without preamble and file meta information.
    max_bytes
        The most that a deflated object may inflate to.
    max_side, max_pixels
        The longest side and the most pixels of a frame.

    Raises
    ------
    UnsupportedFormat
        It is no ultrasound image, or of a kind that is not read.
    UnreadableFrame
        It is damaged or contradicts itself.
    FrameTooLarge
        It is over the limits.
    """
    structure = scan_layout(data, max_bytes)
    header = read_header(structure, max_side, max_pixels)
    return DicomImage(structure, header, tissue_region(header))
