"""Gives results back as DICOM, in the patient and study of their source. All but this file needs the extra `dicom`."""

from typing import NamedTuple


class DicomObject(NamedTuple):
    """A DICOM object, ready to be kept or sent: its SOP Instance UID, and the bytes of its file."""

    uid: str
    contents: bytes
