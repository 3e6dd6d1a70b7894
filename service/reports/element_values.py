"""The values of a frame's DICOM attributes, as bytes and as text. This module needs no pydicom."""

from service.imaging.frame import FrameMetadata

_SHORT_HEAD, _LONG_HEAD = 8, 12  # bytes before the value of an element; one of the VR UN has a 32-bit length


def element_values(frame: FrameMetadata) -> dict[int, bytes]:
    """Return the value of each attribute by its tag, with its padding; empty for a frame of another format."""
    elements = frame.dicom.elements() if frame.dicom is not None else {}
    return {tag: element[_LONG_HEAD if element[4:6] == b"UN" else _SHORT_HEAD :] for tag, element in elements.items()}


def text_of(value: bytes) -> str:
    """Return a value as text. Any character set will do where it is not UTF-8: the same bytes are the same text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
