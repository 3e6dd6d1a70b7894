"""Results as DICOM objects in the patient and study of their source. Needs the extra `dicom`, except this file."""

from typing import NamedTuple


class DicomObject(NamedTuple):
    """A DICOM object to store or send: its SOP Instance UID and its PS3.10 file."""

    uid: str
    contents: bytes
