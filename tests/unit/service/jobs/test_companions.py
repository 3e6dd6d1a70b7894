"""Files that nobody meant as frames are skipped, by their contents; damaged frames are refused."""

import io
import json
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset

from service.jobs.companions import companion_kind
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.job_inputs import process, result_frames

MAX_BYTES = 2**20
STILL = dicoms.native([speckle()])
PICTURES = [encode(speckle(), kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
STORAGE = "1.2.840.10008.5.1.4.1.1."
NO_PICTURES = [  # PS3.4, Table B.5-1, and the directory of PS3.10
    "1.2.840.10008.1.3.10",
    *(f"{STORAGE}{end}" for end in ("88.11", "88.22", "88.33", "88.34", "88.59", "88.67", "11.1", "11.2", "104.1")),
    *(f"{STORAGE}{end}" for end in ("104.2", "9.1.1", "9.4.1", "66", "66.1", "67", "481.3", "481.5")),
    "1.3.46.670589.5.0.1.1",  # a private one
]
OTHER_PICTURES = [f"{STORAGE}{end}" for end in ("1", "2", "4", "20", "6.2", "77.1.4", "66.4", "481.2", "12.1")]


def kind(name: str, contents: bytes) -> str | None:
    return companion_kind(name, lambda length: contents[:length], MAX_BYTES)


def document(sop_class: str, syntax: str = dicoms.EXPLICIT) -> bytes:
    """A DICOM object without pixels."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop_class, "1.2.3.4.9", "SR"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientName = "1.2.3.4", "1.2.3.4.2", "Zanzibar^Quokka"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(sop_class)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.DEFLATED])
@pytest.mark.parametrize("sop_class", NO_PICTURES[:-1])
def test_an_object_without_a_picture_is_a_companion(sop_class: str, syntax: str) -> None:
    contents = document(sop_class, syntax)
    for name in ("SR_0001", "1.2#3.dcm"):
        found = kind(name, contents)
        assert found is not None
        assert found.startswith("a DICOM object without a picture: ")
        assert "Zanzibar" not in found
    assert kind("SR_0001", contents[132:])  # without a preamble


def test_an_object_of_a_private_kind_is_a_companion_if_it_describes_no_pixels() -> None:
    assert kind("IM1", document(NO_PICTURES[-1]))
    assert kind("IM1", dicoms.native([speckle()], SOPClassUID=NO_PICTURES[-1])) is None


@pytest.mark.parametrize("sop_class", OTHER_PICTURES)
def test_a_picture_of_another_kind_is_no_companion(sop_class: str) -> None:
    assert kind("IM1", dicoms.native([speckle()], SOPClassUID=sop_class)) is None


def test_our_own_overlay_is_a_companion() -> None:
    capture = {"SOPClassUID": dicoms.SECONDARY, "Modality": "SC"}
    assert kind("a.dcm", dicoms.native([speckle()], **capture)) is None
    assert kind("a.dcm", dicoms.native([speckle()], **capture, Manufacturer="Fetal Planes (open source)"))


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("README.TXT", b"Exported by the scanner.\r\n"),
        ("README", b"Exported by the scanner.\r\n"),
        ("LIESMICH", "Für den Arzt: die Bilder dieser Untersuchung, bitte mitbringen.".encode("latin-1")),
        ("lisezmoi.txt", "é".encode("latin-1")),
        ("leggimi.txt", "testo".encode("utf-16")),
        ("说明.txt", "检查图像".encode("gbk")),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)),
        ("THUMBS.DB", b""),
        ("._IM_0001", b"\0\x05\x16\x07" + bytes(80)),
        ("IM_0001.xmp", b"<?xpacket begin='\xef\xbb\xbf'?><x:xmpmeta/>"),
        ("report.pdf", b"%PDF-1.7\n" + bytes(100)),
        ("report", b"%PDF-1.7\n" + bytes(100)),
        ("AUTORUN.INF", b"[autorun]\r\nopen=viewer.exe\r\n"),
        ("desktop.ini", b"\xff\xfe[\0"),
        ("viewer.exe", b"MZ" + bytes(500)),
        ("VIEWER", b"\x7fELF" + bytes(500)),
        ("libviewer.dll", b"MZ" + bytes(500)),
        ("viewer.ico", b"\0\0\x01\0" + bytes(500)),
        ("INDEX.HTM", b"<html></html>"),
        ("study.xml", b"<?xml version='1.0'?>"),
        ("frames.json", b"{}"),
        ("frames.csv", b"file,plane\r\n"),
        ("frames.md5", b"d41d8cd98f00b204e9800998ecf8427e  IM_0001\n"),
        ("DICOMDIR", bytes(100)),
        ("DICOMDIR", document("1.2.840.10008.1.3.10")[:140]),
    ],
)
def test_what_lies_next_to_frames_is_a_companion(name: str, contents: bytes) -> None:
    assert kind(name, contents)
    assert kind(f"DICOM/{name}", contents)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("IM_0001", b""),
        ("IM_0001", bytes(5000)),
        ("IM_0001", b"\x89PNG"),
        ("a.png", b"the page does not exist"),
        ("a.dcm", b"%PDF-1.7"),
        ("a.JPG", b""),
        ("frames.zip", b"PK\3\4" + bytes(100)),
        ("loop.avi", b"RIFF\0\0\0\0AVI " + bytes(100)),
        ("loop", b"RIFF\0\0\0\0AVI " + bytes(100)),
        ("IM.gif", b"GIF89a" + bytes(100)),
        ("cine.mp4", bytes(4) + b"ftypisom"),
        ("IM_0001", STILL[:600]),
        ("IM_0001", STILL[:-5]),
    ],
)
def test_what_may_be_a_damaged_frame_is_no_companion(name: str, contents: bytes) -> None:
    assert kind(name, contents) is None


@given(st.sampled_from([*PICTURES, STILL]), st.integers(140, 2000), st.sampled_from(["a.txt", "README", "v.exe", "x"]))
def test_a_picture_is_a_frame_whatever_its_name_and_its_end(picture: bytes, length: int, name: str) -> None:
    assert kind(name, picture[:length]) is None


@given(st.binary(max_size=600), st.sampled_from(["IM_0001", "a.txt", "DICOMDIR"]))
def test_any_bytes_have_an_answer(contents: bytes, name: str) -> None:
    for start in (b"", bytes(128) + b"DICM", document(NO_PICTURES[3])[:200], STILL[:300]):
        kind(name, start + contents)


def test_a_job_counts_and_lists_companions(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    source = tmp_path / "in"
    (source / "DICOM").mkdir(parents=True)
    (source / "DICOM" / "IM_0001").write_bytes(STILL)
    (source / "DICOM" / "SR_0001").write_bytes(document(NO_PICTURES[3]))
    (source / "README.TXT").write_bytes(b"text")
    (source / "setup.exe").write_bytes(b"MZ" + bytes(40 * 2**20))  # over the limit on an upload
    (source / ".DS_Store").write_bytes(b"\0\0\0\x01Bud1")
    assert process(phantom_folder, source, out) == 0
    assert result_frames(out) == [("DICOM/IM_0001", 0)]
    result = json.loads((out / "result.json").read_text())
    assert result["skipped"] == 4
    assert [each["file"] for each in result["skipped_files"]] == [
        ".DS_Store", "DICOM/SR_0001", "README.TXT", "setup.exe"
    ]  # fmt: skip


@pytest.mark.parametrize(("options", "code"), [([], 2), (["--allow-refused"], 0)])
def test_nothing_but_companions_is_an_error_unless_allowed(
    tmp_path: Path, out: Path, phantom_folder: Path, options: list[str], code: int
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README").write_text("text")
    assert process(phantom_folder, tmp_path / "in", out, *options) == code


@pytest.mark.parametrize(("options", "code"), [([], 1), (["--allow-refused"], 0), (["--no-allow-refused"], 1)])
def test_refused_frames_end_with_1_unless_allowed(
    tmp_path: Path, out: Path, phantom_folder: Path, options: list[str], code: int
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PICTURES[0][:100])
    assert process(phantom_folder, tmp_path / "in", out, *options) == code
