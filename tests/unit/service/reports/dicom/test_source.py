"""What a result takes over from its source: the bytes of the patient's values, or nothing."""

import io

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from service.errors import NoDicomSource
from service.imaging.decode import decode_frame
from service.reports.dicom.source import Source, read_source
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import GRAY

CHARACTER_SETS = ["", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "GB18030", "ISO_IR 13", "\\ISO 2022 IR 87",
                  "ISO 2022 IR 13\\ISO 2022 IR 87", "ISO_IR 999", "\xc4", "utf-8"]  # fmt: skip
LABELS = ["Fetal brain", "Fötaler Kopf", "胎儿头部"]


def source_of(data: bytes) -> Source:
    return read_source(decode_frame(data).metadata)


def with_values(*values: tuple[int, bytes, bytes], charset: str = "") -> bytes:
    """Return an object with these values: tag, VR and bytes."""
    data = dicoms.native([GRAY], SpecificCharacterSet="ISO_IR 100", PatientWeight="61.5", PatientSize="1.68")
    for tag, vr, value in ((0x0008_0005, b"CS", charset.encode("latin-1")), *values):
        head = tag.to_bytes(4, "big")
        head = bytes([head[1], head[0], head[3], head[2]]) + vr
        value += b" " * (len(value) % 2)
        at = data.index(head)
        length = int.from_bytes(data[at + 6 : at + 8], "little")
        data = data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + length :]
    return data


def written(source: Source, text: str) -> Dataset:
    """Return a result with a text of ours, read back."""
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.SOPClassUID, result.SOPInstanceUID, result.SeriesDescription = dicoms.SECONDARY, "1.2.3", text
    return pydicom.dcmread(io.BytesIO(source.write(result).contents))


def raw(result: Dataset, keyword: str) -> bytes:
    element = result.get_item(keyword)
    assert isinstance(element.value, bytes)
    return element.value.rstrip(b" ")


names = st.binary(max_size=70).map(lambda value: value.rstrip(b" "))


@pytest.mark.filterwarnings("ignore")  # of pydicom, of character sets that do not exist
@settings(max_examples=300, deadline=None)
@given(name=names, patient=names, charset=st.sampled_from(CHARACTER_SETS), label=st.sampled_from(LABELS))
def test_the_bytes_of_the_patient_are_kept(name: bytes, patient: bytes, charset: str, label: str) -> None:
    source = source_of(with_values((0x0010_0010, b"PN", name), (0x0010_0020, b"LO", patient), charset=charset))
    result = written(source, source.text(label, "fetal_brain"))
    assert raw(result, "PatientName") == name
    assert raw(result, "PatientID") == patient
    assert "?" not in str(result.SeriesDescription)


@pytest.mark.parametrize("charset", CHARACTER_SETS[:5])
def test_a_label_is_in_the_result_where_the_patient_s_values_allow_it(charset: str) -> None:
    for label in LABELS:
        source = source_of(with_values(charset=charset))
        assert written(source, source.text(label, "other")).SeriesDescription == label


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("charset", "label", "expected"),
    [("ISO_IR 100", "Fötaler Kopf", "Fötaler Kopf"), ("ISO_IR 100", "胎儿头部", "fetal_brain"),
     ("", "Fötaler Kopf", "fetal_brain"), ("ISO_IR 192", "胎儿头部", "胎儿头部"), ("GB18030", "胎儿头部", "胎儿头部")],
)  # fmt: skip
def test_the_id_stands_for_a_label_that_their_character_set_lacks(charset: str, label: str, expected: str) -> None:
    source = source_of(with_values((0x0010_0010, b"PN", "Müller".encode("latin-1")), charset=charset))
    result = written(source, source.text(label, "fetal_brain"))
    assert result.SeriesDescription == expected
    assert raw(result, "PatientName") == "Müller".encode("latin-1")


@pytest.mark.parametrize("length", [64, 65, 300])
def test_a_long_label_is_shortened(length: int) -> None:
    text = source_of(dicoms.native([GRAY])).text("x" * length, "id")
    assert len(text) == 64
    assert text.endswith("...") == (length > 64)


@pytest.mark.parametrize("weight", [b"72 kg", b"72,5", b"", b"seventy", b"7\\8", b"\xff\xff"])
def test_a_weight_that_is_no_number_is_left_out(weight: bytes) -> None:
    source = source_of(with_values((0x0010_1030, b"DS", weight)))
    result = written(source, "")
    assert "PatientWeight" not in result
    assert result.PatientSize == 1.68


def test_a_value_without_end_refuses_the_result() -> None:
    data = dicoms.native([GRAY], dicoms.IMPLICIT, PatientName="x" * 70_000)
    with pytest.raises(NoDicomSource, match="too long"):
        written(source_of(data), "")


def test_the_first_of_two_uids_counts() -> None:
    assert source_of(dicoms.native([GRAY], dicoms.EXPLICIT, StudyInstanceUID=["1.2.3", "4.5"])).study == "1.2.3"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_source_without_study_or_series_has_no_result(keyword: str) -> None:
    with pytest.raises(NoDicomSource):
        source_of(dicoms.native([GRAY], dicoms.EXPLICIT, **{keyword: ""}))
