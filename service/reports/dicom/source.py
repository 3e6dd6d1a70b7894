"""What a result takes over from the object that it is about: patient, study, and how to refer to the frame."""

import logging
import uuid
from dataclasses import dataclass

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID

from service.errors import NoDicomSource
from service.imaging.dicom.attributes import read_attributes
from service.imaging.dicom.header import ULTRASOUND
from service.imaging.dicom.scan import Data, is_dicom, scan_layout

# Like pydicom, highdicom quotes names that break a rule in its warnings.
logging.getLogger("highdicom").setLevel(logging.CRITICAL)
config.settings.writing_validation_mode = config.IGNORE  # what the source's study is called is not ours to mend

_NAMESPACE = uuid.UUID("0c1d5a52-6d3e-5b0f-9a41-6c1f5f6d7a10")
_CURRENT_CLASS = {  # of a retired one
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
}
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
    """The object and the frame that a result is about.

    Attributes
    ----------
    attributes
        UIDs, and what the modules Patient and General Study say; a copy that holds nothing else.
    frame
        The number of the frame, from 1 as DICOM counts; None for an object of a single frame.
    """

    attributes: Dataset
    frame: int | None

    def derive_uid(self, *purpose: str) -> UID:
        """A UID that this frame and purpose always have, so that a repeated result replaces itself."""
        a = self.attributes
        return derive_uid(a.StudyInstanceUID, a.SOPInstanceUID, str(self.frame), *purpose)

    @property
    def burned_in(self) -> str:
        """Whether text that names the patient may be in the picture; "YES" where the source does not deny it."""
        return "NO" if self.attributes.get("BurnedInAnnotation") == "NO" else "YES"

    def give_to(self, result: Dataset) -> None:
        """Put a result into the source's patient and study."""
        for keyword in ("SpecificCharacterSet", *_PATIENT_AND_STUDY_TYPE_2, *_PATIENT_AND_STUDY_TYPE_3):
            if keyword in self.attributes:
                result[keyword] = self.attributes[keyword]


def derive_uid(*parts: str) -> UID:
    """A UID that is always the same for the same parts (PS3.5, annex B.2)."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}")


def read_source(upload: Data, index: int, count: int, max_bytes: int) -> Source:
    """Read what a result about frame `index` of `count` needs from its source.

    Raises
    ------
    NoDicomSource
        The source is no DICOM, or does not name its study, series and instance.
    """
    if not is_dicom(upload):
        raise NoDicomSource("A DICOM result needs a DICOM frame: it belongs to that frame's patient and study.")
    read = read_attributes(scan_layout(upload, max_bytes))
    attributes = Dataset()
    for keyword in ("SpecificCharacterSet", "BurnedInAnnotation", *_REQUIRED, *_PATIENT_AND_STUDY_TYPE_3):
        if keyword in read:
            setattr(attributes, keyword, read[keyword].value)
    for keyword in _PATIENT_AND_STUDY_TYPE_2:
        setattr(attributes, keyword, read[keyword].value if keyword in read else None)
    if not all(attributes.get(keyword) for keyword in _REQUIRED):
        raise NoDicomSource("The DICOM does not name its study, series and instance, so no result can refer to it.")
    attributes.SOPClassUID = _CURRENT_CLASS.get(attributes.SOPClassUID, attributes.SOPClassUID)
    multi_frame = count > 1 or ULTRASOUND.get(attributes.SOPClassUID, "").startswith("Ultrasound Multi")
    return Source(attributes, index + 1 if multi_frame else None)
