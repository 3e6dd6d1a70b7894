"""Check the attributes that describe the pixels; refuse an unsupported object before a pixel is read."""

from dataclasses import dataclass

from pydicom.uid import UID

from service.errors import FrameTooLarge, UnreadableFrame, UnsupportedFormat
from service.imaging.dicom.attributes import COPIED, ORIGIN
from service.imaging.dicom.dataset.values import Values, first_text, wanted
from service.imaging.dicom.frame_times import TIMING
from service.imaging.dicom.palette import COLORS
from service.imaging.dicom.scan import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, DatasetLayout

ULTRASOUND = {
    "1.2.840.10008.5.1.4.1.1.6.1": "Ultrasound Image",
    "1.2.840.10008.5.1.4.1.1.3.1": "Ultrasound Multi-frame Image",
    "1.2.840.10008.5.1.4.1.1.6": "Ultrasound Image (retired)",
    "1.2.840.10008.5.1.4.1.1.3": "Ultrasound Multi-frame Image (retired)",
}
SECONDARY_CAPTURE = {
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image",
    "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture Image",
    "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture Image",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image",
}

NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
RLE = "1.2.840.10008.1.2.5"
# Baseline; extended; lossless; lossless with first-order prediction.
JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")  # lossless; near-lossless
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")  # lossless; lossy
# MPEG-2 and H.264, each also with a stream cut into fragments, and HEVC (PS3.5, 10.8 to 10.15).
_FRAGMENTED = tuple(f"1.2.840.10008.1.2.4.{number}.1" for number in range(100, 107))
VIDEO = (*_FRAGMENTED, *(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109)))
TRANSFER_SYNTAXES = (*NATIVE, RLE, *JPEG, *JPEG_LS, *JPEG_2000, *VIDEO)
# Samples per pixel of every supported photometric interpretation.
_SAMPLES = dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1)
_OF_VIDEO = "YBR_PARTIAL_420"
_SAMPLES |= dict.fromkeys((_OF_VIDEO, "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"), 3)

# What the pixels need, what a result copies, and where an exam comes from.
WANTED = wanted(
    (
        "SOPClassUID", "Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
        "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "SequenceOfUltrasoundRegions", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
        "RescaleSlope", "RescaleIntercept", "PixelData",
        "RedPaletteColorLookupTableDescriptor",
        *(f"{form}{color}PaletteColorLookupTableData" for form in ("", "Segmented") for color in COLORS),
        *COPIED,
        *ORIGIN,
        *TIMING,
    )
)  # fmt: skip
_NEW = {  # of PS3.5 2024; pydicom does not name them
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
_META_SOP_CLASS = 0x0002_0002
_MAX_FRAMES = 100_000
_MAX_CINE_PIXELS = 2**33  # of all frames together; an hour of cine of any scanner is below it


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """How the pixels of an object are stored."""

    values: Values  # some name the patient: never log this object
    transfer_syntax: str
    photometric: str
    rows: int
    columns: int
    frames: int  # Number of Frames; 0 where it is missing or no number. `DicomImage.count` counts what is stored
    samples: int  # per pixel
    planar: bool  # uncompressed samples are stored plane by plane instead of pixel by pixel
    allocated: int  # Bits Allocated, 8 or 16; Bits Stored and High Bit follow (PS3.5, 8.1.1)
    stored: int
    high: int
    signed: bool  # samples are in two's complement (Pixel Representation 1)


def read_header(layout: DatasetLayout, max_side: int, max_pixels: int) -> Header:
    """Read and check the attributes that describe the pixels; raises what `open_dicom` raises."""
    values = Values(layout.walk, layout.elements)
    _check_kind(layout, values)
    if layout.pixels is None:
        raise UnreadableFrame("The DICOM object has no pixel data, or is cut short before them.")
    header = _describe(values, layout.transfer_syntax)
    _check_pixels(header)
    _check_size(header, max_side, max_pixels)
    return header


def stated_sop_class(layout: DatasetLayout, values: Values) -> str:
    """Return the SOP class UID of an object; some files state it in the file meta information only."""
    return values.text("SOPClassUID") or first_text(layout.meta.get(_META_SOP_CLASS, b""))


def _check_kind(layout: DatasetLayout, values: Values) -> None:
    transfer_syntax = layout.transfer_syntax
    sop_class = stated_sop_class(layout, values)
    if sop_class in SECONDARY_CAPTURE:
        if values.text("Modality").upper() != "US":
            raise UnsupportedFormat("The DICOM object is a Secondary Capture whose Modality is not US.")
    elif sop_class not in ULTRASOUND:
        raise UnsupportedFormat(
            f"The SOP class of the DICOM object is not supported: {_known(sop_class, 'an unknown one')}. Supported are "
            "ultrasound images, single-frame and multi-frame, and Secondary Captures with Modality US."
        )
    if transfer_syntax not in TRANSFER_SYNTAXES:
        named = _NEW.get(transfer_syntax) or _known(transfer_syntax, "an unknown one")
        raise UnsupportedFormat(
            f"The transfer syntax of the DICOM object is not supported: {named}. Convert the object to JPEG, JPEG-LS, "
            "JPEG 2000, RLE or an uncompressed transfer syntax."
        )


def _known(uid: str, otherwise: str) -> str:
    """Return the name of a UID of the standard, else `otherwise`; any other text is not repeated."""
    name = UID(uid).name if uid else otherwise
    return name if name != uid else otherwise


def _describe(values: Values, transfer_syntax: str) -> Header:
    photometric = values.text("PhotometricInterpretation").upper()
    if photometric not in _SAMPLES or (photometric == _OF_VIDEO and transfer_syntax not in VIDEO):
        raise UnsupportedFormat(
            f"The photometric interpretation of the DICOM object is not one of {', '.join(_SAMPLES)}."
        )
    allocated = _integer(values, "BitsAllocated")
    stored = _integer(values, "BitsStored", allocated)
    return Header(
        values=values,
        transfer_syntax=transfer_syntax,
        photometric=photometric,
        rows=_integer(values, "Rows"),
        columns=_integer(values, "Columns"),
        frames=max(0, _integer(values, "NumberOfFrames", 0)),
        samples=_integer(values, "SamplesPerPixel", _SAMPLES[photometric]),
        planar=_integer(values, "PlanarConfiguration", 0) == 1,
        allocated=allocated,
        stored=stored,
        high=_integer(values, "HighBit", stored - 1),
        signed=_integer(values, "PixelRepresentation", 0) == 1,
    )


def _integer(values: Values, keyword: str, default: int | None = None) -> int:
    number = values.first(keyword)
    if number is not None:
        return int(number)
    if default is None:
        raise UnreadableFrame(f"The DICOM object lacks the attribute {keyword}, or its value is not a number.")
    return default


def _check_pixels(header: Header) -> None:
    if header.allocated not in (8, 16):
        raise UnsupportedFormat(f"Pixels of {header.allocated} bits are not supported; 8 and 16 bits are.")
    if not 1 <= header.stored <= header.allocated or not header.stored - 1 <= header.high < header.allocated:
        raise UnreadableFrame("Bits Allocated, Bits Stored and High Bit of the DICOM object contradict one another.")
    if header.samples != _SAMPLES[header.photometric]:
        raise UnreadableFrame(
            f"The DICOM object has {header.samples} samples per pixel, which {header.photometric} does not allow."
        )
    if header.samples == 3 and header.allocated != 8 and header.transfer_syntax not in VIDEO:  # HEVC has 10 bits, too
        raise UnsupportedFormat("Color with more than 8 bits per sample is not supported.")


def _check_size(header: Header, max_side: int, max_pixels: int) -> None:
    rows, columns = header.rows, header.columns
    if rows < 1 or columns < 1:
        raise UnreadableFrame(f"The DICOM object claims frames of {columns} x {rows} pixels.")
    if max(rows, columns) > max_side or rows * columns > max_pixels:
        raise FrameTooLarge(
            f"The frame is {columns} x {rows} pixels; the limit is {max_pixels} pixels, {max_side} per side."
        )
    check_count(header, header.frames)


def check_count(header: Header, frames: int) -> None:
    """Raise FrameTooLarge where this number of frames is over the limits."""
    rows, columns = header.rows, header.columns
    if frames > _MAX_FRAMES or rows * columns * frames > _MAX_CINE_PIXELS:
        raise FrameTooLarge(
            f"The DICOM object has {frames} frames of {columns} x {rows} pixels, which is over the limits."
        )
