"""Tell whether frames belong to one patient, without naming the patient, and which machine made them."""

import hashlib
import hmac
from typing import Literal

from service.imaging.frame import FrameMetadata
from service.reports.element_values import element_values, text_of

PATIENT_ID, ISSUER = 0x0010_0020, 0x0010_0021
MACHINE = 0x0008_1090  # Manufacturer's Model Name
STUDY = 0x0020_000D
_CHARACTERS = 16  # of the key: 64 bits
_MAX_NAME = 64  # characters of a Long String


def patient_key(frame: FrameMetadata, salt: str) -> str | None:
    """Return a key that is equal for frames of one patient and means nothing without the salt.

    It is an HMAC of the Patient ID and its issuer. None for a file without them: a picture, or a DICOM object whose
    patient is not stated. Nobody can compare the keys of two salts.
    """
    values = element_values(frame)
    patient, issuer = (values.get(tag, b"").strip(b"\0 ") for tag in (PATIENT_ID, ISSUER))
    if not patient:
        return None
    message = len(patient).to_bytes(4, "big") + patient + issuer
    return hmac.new(salt.encode(), message, hashlib.sha256).hexdigest()[:_CHARACTERS]


def machine_name(frame: FrameMetadata) -> str:
    """Return the model name of the machine that made a DICOM frame; empty where it is not stated."""
    return _text(frame, MACHINE)[:_MAX_NAME]


def raw_identifiers(frame: FrameMetadata) -> dict[Literal["study", "patient"], str]:
    """Return the Study Instance UID and the Patient ID of a DICOM frame; empty where they are not stated.

    They name the patient: never log or keep them.
    """
    return {"study": _text(frame, STUDY), "patient": _text(frame, PATIENT_ID)}


def _text(frame: FrameMetadata, tag: int) -> str:
    """Return the value of an element without control characters."""
    text = text_of(element_values(frame).get(tag, b""))
    return " ".join("".join(letter for letter in text if letter.isprintable()).split())
