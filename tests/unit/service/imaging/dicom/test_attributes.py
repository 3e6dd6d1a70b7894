"""The attributes that a report copies: bytes that another process can rebuild them from."""

import io
import pickle

import pytest
from pydicom import dcmread

from service.imaging.decode import decode_frame
from service.imaging.dicom.attributes import DicomAttributes
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import GRAY


@pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.BIG, dicoms.DEFLATED])
def test_are_rebuilt_from_their_bytes(syntax: str) -> None:
    attributes = decode_frame(dicoms.native([GRAY], syntax)).dicom
    assert attributes is not None
    rebuilt = DicomAttributes(attributes.encoded)
    assert rebuilt == attributes == pickle.loads(pickle.dumps(attributes))
    read = dcmread(io.BytesIO(rebuilt.encoded), force=True)
    for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber"):
        assert str(read[keyword].value) == dicoms.PLANTED[keyword]
    assert (read.StudyInstanceUID, read.SOPClassUID) == ("1.2.3.4", dicoms.US)


def test_hold_nothing_else_of_the_patient() -> None:
    attributes = decode_frame(dicoms.native([GRAY])).dicom
    assert attributes is not None
    assert 0x0010_4000 not in attributes.elements()
    assert dicoms.PLANTED["PatientComments"].encode() not in attributes.encoded
