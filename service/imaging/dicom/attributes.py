"""The attributes of a DICOM object that the service reads, parsed once."""

import io
from itertools import chain

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
_TAGS = sorted(
    {
        Tag(keyword)
        for keyword in chain(
            _PIXELS,
            ("SpecificCharacterSet", "BurnedInAnnotation"),
            INSTANCE,
            PATIENT_AND_STUDY_TYPE_2,
            PATIENT_AND_STUDY_TYPE_3,
        )
    }
)


def read_attributes(layout: DatasetLayout) -> Dataset:
    """Return the attributes that describe the pixels and those that a report copies, and no others.

    pydicom converts a value at its first use, so a request that writes no report converts no patient data.
    """
    header = io.BytesIO(layout.data[layout.start : layout.header_end])
    return read_dataset(header, not layout.explicit, layout.little, specific_tags=list(_TAGS))
