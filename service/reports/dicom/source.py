"""The source of a result: its patient and study, which the result copies, and its UIDs, which the result references."""

import uuid
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from service.errors import NoDicomSource
from service.imaging.dicom.attributes import read_attributes
from service.imaging.dicom.header import ULTRASOUND
from service.imaging.dicom.scan import Data, is_dicom, scan_layout

_NAMESPACE = uuid.UUID("0c1d5a52-6d3e-5b0f-9a41-6c1f5f6d7a10")
_CURRENT_CLASS = {  # retired Ultrasound and Ultrasound Multi-frame classes -> their successors (PS3.4, B.6)
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
}
# Patient and General Study modules (PS3.3, C.7.1.1 and C.7.2.1). Type 2 attributes are written even when empty.
_REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_PATIENT_AND_STUDY_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_PATIENT_AND_STUDY_TYPE_3 = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "OtherPatientIDs",
    "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The DICOM object and the frame that a result refers to.

    Attributes
    ----------
    attributes
        UIDs, Patient and General Study attributes of the object; a copy without anything else.
    frame
        Frame number, counted from 1 as in DICOM; None for a single-frame object.
    """

    attributes: Dataset
    frame: int | None

    def derive_uid(self, *purpose: str) -> UID:
        """Return the UID of a result; the same frame and purpose give the same UID, so a repeat replaces it."""
        study, instance = self.attributes.StudyInstanceUID, self.attributes.SOPInstanceUID
        return derive_uid(study, instance, str(self.frame), *purpose)

    @property
    def burned_in(self) -> str:
        """Burned In Annotation (PS3.3, C.7.6.1): "NO" only when the source states it."""
        # Pixels may name the patient, and an overlay keeps them.
        return "NO" if self.attributes.get("BurnedInAnnotation") == "NO" else "YES"

    def copy_patient_and_study(self, result: Dataset) -> None:
        """Copy the Patient and General Study attributes of the source into `result`."""
        for keyword in ("SpecificCharacterSet", *_PATIENT_AND_STUDY_TYPE_2, *_PATIENT_AND_STUDY_TYPE_3):
            if keyword in self.attributes:
                result[keyword] = self.attributes[keyword]


def derive_uid(*parts: str) -> UID:
    """Return the UUID-derived UID of `parts`, always the same for the same parts (PS3.5, B.2)."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}")


def read_source(upload: Data, index: int, count: int, max_bytes: int) -> Source:
    """Return the source of frame `index` (from 0) of `count`.

    Raises
    ------
    NoDicomSource
        The upload is not DICOM, or lacks its Study, Series or SOP Instance UID.
    """
    if not is_dicom(upload):
        raise NoDicomSource("A DICOM result needs a DICOM upload: it belongs to the patient and study of the upload.")
    read = read_attributes(scan_layout(upload, max_bytes))
    attributes = Dataset()
    for keyword in ("SpecificCharacterSet", "BurnedInAnnotation", *_REQUIRED, *_PATIENT_AND_STUDY_TYPE_3):
        if keyword in read:
            setattr(attributes, keyword, read[keyword].value)
    for keyword in _PATIENT_AND_STUDY_TYPE_2:
        setattr(attributes, keyword, read[keyword].value if keyword in read else None)
    if not all(attributes.get(keyword) for keyword in _REQUIRED):
        raise NoDicomSource(
            "The DICOM object lacks its Study, Series or SOP Instance UID; a result cannot refer to it."
        )
    attributes.SOPClassUID = _CURRENT_CLASS.get(attributes.SOPClassUID, attributes.SOPClassUID)
    multi_frame = count > 1 or ULTRASOUND.get(attributes.SOPClassUID, "").startswith("Ultrasound Multi")
    return Source(attributes, index + 1 if multi_frame else None)
