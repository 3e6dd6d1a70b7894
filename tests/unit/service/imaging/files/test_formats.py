"""A refusal names what the bytes are."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import UnsupportedFormat
from service.imaging.files.formats import SUPPORTED, describe, detect_format
from tests.support.images import encode, speckle


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("DICOM/IM0", b"frame")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("frame"), io.BytesIO())
    return buffer.getvalue()


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(speckle(32, 32)).save(buffer, kind)
    return buffer.getvalue()


def saved_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def iso(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + bytes(2000)


FILES: dict[str, Callable[[], bytes]] = {
    "PDF": lambda: b"%PDF-1.4\n%%EOF\n",
    "HEIC": lambda: iso(b"heic"),
    "gzip": lambda: gzip.compress(b"frame"),
    "bzip2": lambda: bz2.compress(b"frame"),
    "XZ": lambda: lzma.compress(b"frame"),
    "ZIP": zipped,
    "tar": tarred,
    "JPEG 2000": lambda: picture("JPEG2000"),
    "ICO": lambda: picture("ICO"),
    "JSON": lambda: json.dumps({"image": "89504e47"}).encode(),
    "base64": lambda: b"data:image/png;base64,iVBORw0KGgo=",
    "HTML": lambda: b"\n<!DOCTYPE html><html></html>",
    "XML": lambda: b"\xef\xbb\xbf<?xml version='1.0'?><a/>",
    "text": lambda: "Größe: 3 cm\n".encode(),
    "NumPy": saved_array,
    "unknown": lambda: bytes(range(256)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_refusal_names(name: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        detect_format(FILES[name]())
    assert name in caught.value.detail
    assert f"Supported are {SUPPORTED}." in caught.value.detail


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_described_without_quoting_them(data: bytes) -> None:
    named = describe(data)
    assert named.isascii()
    assert named.startswith("The bytes are ")
    assert named.endswith(".")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "AVIF"])
def test_what_is_supported_is_named_by_its_own_format(kind: str) -> None:
    assert detect_format(encode(speckle(), kind)) == kind.lower()


VIDEOS = {
    "mp4": iso(b"isom"),
    "mov": iso(b"qt  "),
    "avi": b"RIFF" + struct.pack("<I", 4000) + b"AVI LIST" + bytes(4000),
    "mkv": b"\x1a\x45\xdf\xa3" + bytes(40),
    "mpeg": b"\0\0\1\xba" + bytes(40),
    "wmv": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(40),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_known_by_its_first_bytes(name: str) -> None:
    assert detect_format(VIDEOS[name]) == name


def test_a_transport_stream_repeats_its_first_byte() -> None:
    packet = b"\x47" + bytes(187)
    assert detect_format(2 * packet) == "mpeg"
    with pytest.raises(UnsupportedFormat):
        detect_format(packet + bytes(188))


def test_a_sound_is_no_video() -> None:
    with pytest.raises(UnsupportedFormat, match="sound"):
        detect_format(iso(b"M4A "))


def test_a_phone_s_picture_says_how_to_convert_it() -> None:
    with pytest.raises(UnsupportedFormat, match=r"HEIC picture. Convert it to JPEG; a phone can be set to take JPEG"):
        detect_format(iso(b"heic"))
