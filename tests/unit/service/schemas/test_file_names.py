"""Names as text: any bytes, one text each, and back."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.schemas.file_names import local_path, name_bytes, name_text, path_text, printable

NAMES = st.binary(min_size=1, max_size=255) | st.text(min_size=1, max_size=60).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@given(NAMES)
def test_the_text_leads_back_to_the_name(name: bytes) -> None:
    text = name_text(name)
    assert name_bytes(text) == name
    assert json.loads(json.dumps(text).encode()) == text
    assert not [each for each in text if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]


@given(NAMES, NAMES)
def test_different_names_have_different_texts(one: bytes, other: bytes) -> None:
    assert (name_text(one) == name_text(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"brain 20+1.png", "brain 20+1.png"),
        ("Müller/頭.dcm".encode(), "Müller/頭.dcm"),
        ("Müller.png".encode("latin-1"), r"M\xfcller.png"),
        (b"two\nlines", r"two\x0alines"),
        (rb"DICOM\IM1", r"DICOM\\IM1"),
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),
        (b"\x85", r"\x85"),
        ("\x85".encode(), r"\u0085"),
    ],
)
def test_most_names_are_shown_as_they_are(name: bytes, text: str) -> None:
    assert name_text(name) == text


def test_a_path_leads_back_to_its_file(tmp_path: Path) -> None:
    name = local_path(r"M\xfcller\x0a.png")
    (tmp_path / name).write_bytes(b"x")
    (found,) = tmp_path.iterdir()
    assert path_text(found.relative_to(tmp_path)) == r"M\xfcller\x0a.png"


def test_a_message_stays_in_one_line() -> None:
    assert printable("no \udcfc and\nno\x1b[31m") == r"no \xfc and\x0ano\x1b[31m"
