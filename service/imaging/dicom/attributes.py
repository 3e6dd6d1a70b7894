"""The attributes of a DICOM object that the service reads, parsed once."""

import io
import struct
from dataclasses import dataclass
from itertools import chain

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from service.imaging.dicom.scan import DatasetLayout

_PIXELS = (
    "SOPClassUID", "Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SequenceOfUltrasoundRegions", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "RescaleSlope",
    "RescaleIntercept",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
)  # fmt: skip
# A result belongs to the patient and study of its source: modules Patient and General Study (PS3.3, C.7.1.1 and
# C.7.2.1). Type 2 attributes are written even when they are empty.
INSTANCE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
PATIENT_AND_STUDY_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
PATIENT_AND_STUDY_TYPE_3 = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "OtherPatientIDs",
    "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
_COPIED = sorted(
    Tag(keyword)
    for keyword in chain(
        ("SpecificCharacterSet", "BurnedInAnnotation"), INSTANCE, PATIENT_AND_STUDY_TYPE_2, PATIENT_AND_STUDY_TYPE_3
    )
)
_TAGS = sorted({*_COPIED, *map(Tag, _PIXELS)})


@dataclass(frozen=True, slots=True)
class DicomAttributes:
    """The patient, study and instance attributes that a report copies, as bytes: they can be sent to another process.

    Attributes
    ----------
    encoded
        A data set in explicit VR little-endian. Every value is text, with the bytes of the source. It names the
        patient: never log it.
    """

    encoded: bytes

    def dataset(self) -> Dataset:
        """Return the attributes as a data set; pydicom converts a value at its first use."""
        return read_dataset(io.BytesIO(self.encoded), is_implicit_VR=False, is_little_endian=True)


def copied_attributes(attributes: Dataset) -> DicomAttributes:
    """Return the attributes that a report copies, of a data set that `read_attributes` returned."""
    encoded = []
    for tag in _COPIED:
        element = attributes.get_item(tag)
        if isinstance(element, RawDataElement):
            value = element.value or b""
        elif element is not None:  # pydicom has converted it, because it describes the pixels as well
            value = str(element.value).encode("ascii", "replace")
        else:
            continue
        value += b" " * (len(value) % 2)
        if len(value) <= 0xFFFF:
            head = struct.pack("<HH2sH", tag.group, tag.element, dictionary_VR(tag).encode(), len(value))
            encoded.append(head + value)
    return DicomAttributes(b"".join(encoded))


def read_attributes(layout: DatasetLayout) -> Dataset:
    """Return the attributes that describe the pixels and those that a report copies, and no others.

    pydicom converts a value at its first use, so a request that writes no report converts no patient data.
    """
    header = io.BytesIO(layout.data[layout.start : layout.header_end])
    return read_dataset(header, not layout.explicit, layout.little, specific_tags=list(_TAGS))
