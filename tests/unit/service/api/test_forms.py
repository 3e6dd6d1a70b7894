"""Files in multipart forms: any name and any content, with all that RFC 2046 and RFC 8187 allow around them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.forms import form_parts
from service.errors import MalformedRequest

BOUNDARY = b"b0und'ry"
CONTENT = st.binary(max_size=200).filter(lambda content: b"--" + BOUNDARY not in content)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\r\n"\\'), max_size=60)
TEXT = st.text(st.characters(codec="ascii", exclude_characters="-"), max_size=80).map(str.encode)
PADDING = st.sampled_from([b"", b" ", b"\t  "])


def read(form: bytes) -> list[tuple[bytes, str | None]]:
    return [(form[part.content], part.name) for part in form_parts(form, BOUNDARY, "files")]


def one(disposition: bytes, content: bytes = b"x") -> bytes:
    return b"--%s\r\nContent-Disposition: %s\r\n\r\n%s\r\n--%s--\r\n" % (BOUNDARY, disposition, content, BOUNDARY)


@given(st.lists(st.tuples(CONTENT, NAMES), min_size=1, max_size=4), st.none() | TEXT, TEXT, PADDING)
def test_what_stands_around_the_parts_is_ignored(
    files: list[tuple[bytes, str]], preamble: bytes | None, epilogue: bytes, padding: bytes
) -> None:
    form = b"" if preamble is None else preamble + b"\r\n"
    for content, name in files:
        disposition = b'form-data; name="files"; filename="%s"' % name.encode()
        headers = b"Content-Type: image/png\r\ncontent-disposition: " + disposition
        form += b"--" + BOUNDARY + padding + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"
    form += b"--" + BOUNDARY + b"--" + padding + b"\r\n" + epilogue
    assert read(form) == [(content, name) for content, name in files]


@given(NAMES.filter(bool), st.sampled_from(["UTF-8", "utf-8"]), st.sampled_from(["", "en", "de-CH"]))
def test_the_extended_name_is_decoded_and_goes_first(name: str, charset: str, language: str) -> None:
    extended = f"{charset}'{language}'{quote(name, safe='')}".encode()
    for disposition in (
        b"form-data; name=files; filename*=" + extended,
        b'form-data; name="files"; filename="other.png"; filename*=' + extended,
        b'form-data; filename*="' + extended + b'"; filename="other.png"; name="files"',
        b"form-data; NAME=files ;\r\n FileName*=" + extended,
    ):
        assert read(one(disposition)) == [(b"x", name)]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (b"filename*=iso-8859-1'en'%A3%20rates", "£ rates"),
        (b"filename=\"a.png\"; filename*=utf-8''%FF", "a.png"),  # not of its charset
        (b"filename=\"a.png\"; filename*=utf-7''%41", "a.png"),  # of a charset that RFC 8187 does not have
        (b'filename="a.png"; filename*=nonsense', "a.png"),
        (b"filename=\"a; filename*=utf-8''b\"", "a; filename*=utf-8''b"),
        (b'filename="%s"' % (b";" * 100), ";" * 100),
        (rb'filename="C:\scans\a.png"', r"C:\scans\a.png"),
        (rb'filename="say \"a\".png"', 'say "a".png'),
        (b'filename="%s"' % (b"a" * 999), "a" * 255),
        (b"filename=a.png", "a.png"),
        (b'filename=""', ""),
    ],
)
def test_other_names(parameters: bytes, name: str) -> None:
    assert read(one(b'form-data; name="files"; ' + parameters)) == [(b"x", name)]


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"text only",
        b"x--" + BOUNDARY + b"--",  # not at the beginning of a line
        b"--" + BOUNDARY,
        b"--" + BOUNDARY + b"y\r\n\r\nx\r\n--" + BOUNDARY + b"--",
        one(b'form-data; name="files"' + b";a=b" * 17),
        one(b"form-data"),
    ],
)
def test_other_bodies_are_refused(form: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(form)
