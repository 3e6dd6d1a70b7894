"""Detect the format of an upload from its first bytes. File names and content types are not to be trusted."""

import struct

from service.errors import EmptyUpload, UnsupportedFormat
from service.imaging.dicom.scan import Data, is_dicom
from service.schemas.answers import Format, VideoFormat

_HEAD = 64  # bytes that identify every format except DICOM
_START = 4096  # bytes that identify the formats which are not supported
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)  # "BM" alone also starts plain text


SUPPORTED = "PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF, DICOM and video as MP4, MOV, AVI, MKV, WMV or MPEG"
_CONVERT = "Convert it."
_PHONE = "Convert it to JPEG; a phone can be set to take JPEG (on an iPhone: Camera, Formats, Most Compatible)."
_EXPORT = "Export the frame from it."
_UNPACK = "Unpack it, and send the files in it one by one."
_SEND_ZIP = "`/classify/batch` and `/exam` read the files in it; an archive in an archive must be unpacked."
_STILLS = "Export its frames."
# What other files start with, each with the name of the format and what to do with it.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"PK\x03\x04", "a ZIP archive", _SEND_ZIP),
    (b"PK\x05\x06", "an empty ZIP archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an XZ archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 picture", _CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream", _CONVERT),
    (b"\0\0\0\x0cJXL \r\n", "a JPEG XL picture", _CONVERT),
    (b"\xff\x0a", "a JPEG XL codestream", _CONVERT),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"\0\0\1\0", "an icon (ICO)", _CONVERT),
    (b"\0\0\2\0", "a cursor (CUR)", _CONVERT),
    (b"FLV\1", "a Flash video (FLV)", _STILLS),
    (b"OggS", "an Ogg video", _STILLS),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", _CONVERT),
    (b"\x5c\x01\0\0", "a NIfTI volume", _CONVERT),
    (b"NRRD", "an NRRD volume", _CONVERT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft Office document, or Thumbs.db", _EXPORT),
    (b"MZ", "a Windows program", ""),
    (b"\x7fELF", "a Linux program", ""),
    (b"SQLite format 3\0", "an SQLite database", ""),
    (b"{\\rtf", "an RTF document", _EXPORT),
)
_RIFF = {b"WAVE": ("a WAV sound", "")}
_ISO_PICTURES = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF",
                 b"msf1": "HEIF", b"crx ": "Canon CR3"}  # fmt: skip
_ISO_SOUNDS = {b"M4A ", b"M4B ", b"M4P "}
_ISO_OTHERS = {*_ISO_PICTURES, *_ISO_SOUNDS}
_AVIF = {b"avif", b"avis"}
_VIDEOS: tuple[tuple[bytes, VideoFormat], ...] = (
    (b"\0\0\1\xba", "mpeg"),  # a program stream
    (b"\0\0\1\xb3", "mpeg"),  # a bare MPEG-1 or MPEG-2 stream
    (b"\x1a\x45\xdf\xa3", "mkv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
)
_TEXTS = ((b"<?xml", "an XML document"), (b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"),
          (b"<svg", "an SVG drawing"))  # fmt: skip


def detect_format(upload: Data) -> Format:
    """Return the format of an upload.

    Raises
    ------
    EmptyUpload
        The upload is empty.
    UnsupportedFormat
        The bytes start like none of the supported formats.
    """
    if not len(upload):
        raise EmptyUpload("The upload is empty.")
    if is_dicom(upload):  # first, because its preamble may look like a TIFF
        return "dicom"
    data = upload[:_HEAD]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_TIFF_STARTS):
        return "tiff"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[4:8] == b"ftyp" and (data[8:12] in _AVIF or (data[8:12] == b"mif1" and b"avif" in data[16:48])):
        return "avif"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if video := video_format(data, upload[188:189]):
        return video
    raise UnsupportedFormat(f"{describe(bytes(upload[:_START]))} Supported are {SUPPORTED}.")


def video_format(data: bytes, sync: bytes = b"") -> VideoFormat | None:
    """Return the format of a video by its first 64 bytes and byte 188, where a transport stream repeats byte 0."""
    for start, format_ in _VIDEOS:
        if data.startswith(start):
            return format_
    if data.startswith(b"RIFF") and data[8:12] == b"AVI ":
        return "avi"
    if data[4:8] == b"ftyp" and data[8:12] not in _ISO_OTHERS:
        return "mov" if data[8:12] == b"qt  " else "mp4"
    if data[4:8] in (b"moov", b"mdat", b"wide"):
        return "mov"
    return "mpeg" if data[:1] == sync == b"\x47" else None


def describe(data: bytes) -> str:
    """Return sentences that say what the first bytes of a file show it to be, and what to do."""
    name, advice = _other_format(data)
    return f"The bytes are {name}. {advice}".rstrip() if name else "The bytes are of an unknown format."


def _other_format(data: bytes) -> tuple[str, str]:
    for start, name, advice in _OTHERS:
        if data.startswith(start):
            return name, advice
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], ("a RIFF file", ""))
    if data[4:8] == b"ftyp":  # ISO base media file format: a picture or a video, by its brand
        picture = _ISO_PICTURES.get(data[8:12])
        if picture:
            return f"a {picture} picture", _PHONE if picture.startswith("HE") else _CONVERT
        if data[8:12] in _ISO_SOUNDS:
            return "an MPEG-4 sound", ""
    if data[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    return _text_format(data)


def _text_format(data: bytes) -> tuple[str, str]:
    """Return what a text is; an empty name where the bytes are none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16", ""
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = text[:64].lower()
    for start, name in _TEXTS:
        if lower.startswith(start):
            return name, ""
    if text.startswith((b"data:image/", b"iVBORw0KGgo", b"/9j/")):
        return "a picture as base64 text", "Send the bytes themselves."
    if text[:1] in (b"{", b"[") and _is_text(data):
        return "JSON", "Send the file itself as the body, or as a part of a form."
    return ("text", "") if data and _is_text(data) else ("", "")


def _is_text(data: bytes) -> bool:
    controls = bytes(range(9)) + bytes(range(14, 32)) + b"\x7f"
    return not data.translate(None, bytes(set(range(256)) - set(controls)))


def webp_header(data: bytes) -> tuple[int, int, bool]:
    """Return width and height of a WebP, and whether it is a still picture without alpha and without EXIF.

    Raises ValueError where the header is not a WebP header, and struct.error where it is cut short.
    """
    kind = data[12:16]
    if kind == b"VP8X":
        flags, width, width_high, height, height_high = struct.unpack_from("<B3xHBHB", data, 20)
        animated_alpha_or_exif = flags & 0b0001_1010
        return (width | width_high << 16) + 1, (height | height_high << 16) + 1, not animated_alpha_or_exif
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, not bits >> 28 & 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, True
    raise ValueError("not a WebP header")
