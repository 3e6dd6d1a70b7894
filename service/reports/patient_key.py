"""Tell whether frames belong to one patient, without naming the patient."""

import hashlib
import hmac

from service.imaging.frame import FrameMetadata

PATIENT_ID, ISSUER = 0x0010_0020, 0x0010_0021
_SHORT_HEAD = 8  # bytes before the value of an element with a 16-bit length
_CHARACTERS = 16  # of the key: 64 bits


def patient_key(frame: FrameMetadata, salt: str) -> str | None:
    """Return a key that is equal for frames of one patient and means nothing without the salt.

    It is an HMAC of the Patient ID and its issuer. None for a file without them: a picture, or a DICOM object whose
    patient is not stated. Nobody can compare the keys of two salts.
    """
    elements = frame.dicom.elements() if frame.dicom is not None else {}
    patient, issuer = (elements.get(tag, b"")[_SHORT_HEAD:].strip(b"\0 ") for tag in (PATIENT_ID, ISSUER))
    if not patient:
        return None
    message = len(patient).to_bytes(4, "big") + patient + issuer
    return hmac.new(salt.encode(), message, hashlib.sha256).hexdigest()[:_CHARACTERS]
