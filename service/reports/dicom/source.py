"""The source of a result: its patient and study, which the result copies, and its UIDs, which the result references."""

import io
import uuid
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from service.errors import NoDicomSource
from service.imaging.dicom.attributes import INSTANCE, PATIENT_AND_STUDY_TYPE_2, PATIENT_AND_STUDY_TYPE_3
from service.imaging.dicom.header import ULTRASOUND
from service.imaging.frame import FrameMetadata
from service.reports.dicom import DicomObject

_NAMESPACE = uuid.UUID("0c1d5a52-6d3e-5b0f-9a41-6c1f5f6d7a10")
_CURRENT_CLASS = {  # retired Ultrasound and Ultrasound Multi-frame classes -> their successors (PS3.4, B.6)
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
}


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The DICOM object and the frame that a result refers to."""

    attributes: Dataset  # of the object, those that a result copies
    sop_class: str  # a retired one is replaced by its successor
    frame: int | None  # counted from 1 as in DICOM; None for a single-frame object

    def derive_uid(self, *purpose: str) -> UID:
        """Return the UID of a result; the same frame and purpose give the same UID, so a repeat replaces it."""
        study, instance = self.attributes.StudyInstanceUID, self.attributes.SOPInstanceUID
        return derive_uid(study, instance, str(self.frame), *purpose)

    @property
    def burned_in(self) -> str:
        """Burned In Annotation (PS3.3, C.7.6.1): "NO" only when the source states it."""
        # Pixels may name the patient, and an overlay keeps them.
        return "NO" if self.attributes.get("BurnedInAnnotation") == "NO" else "YES"

    def write(self, result: Dataset) -> DicomObject:
        """Copy the Patient and General Study attributes of the source into `result` and return it as a PS3.10 file."""
        for keyword in ("SpecificCharacterSet", *PATIENT_AND_STUDY_TYPE_2, *PATIENT_AND_STUDY_TYPE_3):
            if keyword in self.attributes:
                setattr(result, keyword, self.attributes[keyword].value)
        buffer = io.BytesIO()
        result.save_as(buffer, enforce_file_format=True)
        return DicomObject(str(result.SOPInstanceUID), buffer.getvalue())


def derive_uid(*parts: str) -> UID:
    """Return the UUID-derived UID of `parts`, always the same for the same parts (PS3.5, B.2)."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}")


def read_source(frame: FrameMetadata) -> Source:
    """Return the source of a frame, from the attributes that were parsed when the frame was decoded.

    Raises
    ------
    NoDicomSource
        The frame is not of a DICOM object, or the object lacks its Study, Series or SOP Instance UID.
    """
    if frame.dicom is None:
        raise NoDicomSource("A DICOM result needs a DICOM upload: it belongs to the patient and study of the upload.")
    attributes = frame.dicom.dataset()
    if not all(attributes.get(keyword) for keyword in INSTANCE):
        raise NoDicomSource(
            "The DICOM object lacks its Study, Series or SOP Instance UID; a result cannot refer to it."
        )
    sop_class = _CURRENT_CLASS.get(attributes.SOPClassUID, attributes.SOPClassUID)
    multi_frame = frame.count > 1 or ULTRASOUND.get(sop_class, "").startswith("Ultrasound Multi")
    return Source(attributes, sop_class, frame.index + 1 if multi_frame else None)
