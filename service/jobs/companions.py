"""Recognize the files that scanners, viewers and operating systems put next to frames, and that nobody meant as one.

They are skipped and not refused. What may be a frame, damaged or not, is none of them: a picture, a video or an archive
by its first bytes, whatever its name; an unknown content; text under the name of a picture.
"""

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from service.errors import Problem
from service.imaging.dicom.dataset.values import Values, wanted
from service.imaging.dicom.header import SECONDARY_CAPTURE, ULTRASOUND, stated_sop_class
from service.imaging.dicom.scan import is_dicom, scan_layout
from service.imaging.files.archive import Member
from service.imaging.files.formats import detect_format
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import DEFAULT_LIMITS
from service.jobs.files import START, SourceFile

_CONTENTS = {
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a Windows thumbnail cache or Office document",
    b"CMMM": "a Windows thumbnail cache",
    b"MZ": "a program",
    b"\x7fELF": "a program",
    b"\xce\xfa\xed\xfe": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"L\0\0\0\x01\x14\x02\0": "a shortcut",
    b"SQLite format 3\0": "a database",
    b"\0\0\0\x01Bud1": "a folder's view in macOS",
    b"\0\x05\x16\x07": "attributes of a file in macOS",
    b"bplist00": "a property list",
    b"ITSF": "a help file",
    b"\0\0\x01\0": "an icon",
    b"\0\0\x02\0": "a cursor",
    b"icns": "an icon",
    b"\0\x01\0\0\0": "a font",
    b"OTTO": "a font",
    b"wOF": "a font",
    b"ID3": "a sound",
}
_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "autorun.inf", "dicomdir", "readme", "license", "icon\\x0d"}
_SUFFIXES = {
    *(".txt", ".md", ".rtf", ".htm", ".html", ".xhtml", ".css", ".js", ".json", ".xml", ".xsl", ".xslt", ".xsd"),
    *(".dtd", ".xmp", ".csv", ".tsv", ".log", ".ini", ".inf", ".cfg", ".conf", ".config", ".properties", ".yaml"),
    *(".yml", ".toml", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".exe", ".dll", ".ocx"),
    *(".sys", ".msi", ".cab", ".bat", ".cmd", ".sh", ".so", ".dylib", ".jar", ".class", ".chm", ".hlp", ".lnk"),
    *(".url", ".ico", ".cur", ".icns", ".ttf", ".otf", ".woff", ".woff2", ".db", ".sqlite", ".mdb", ".plist"),
    *(".manifest", ".md5", ".sha1", ".sha256", ".sig", ".wav", ".mp3", ".dmg", ".pkg", ".deb", ".rpm", ".pak", ".qm"),
    *(".asar", ".node", ".mui", ".pyd", ".pyc", ".cat", ".res"),
}
_PICTURE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".heic"),
    *(".dcm", ".dicom", ".dic", ".ima", ".avif", ".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".asf"),
    *(".mpg", ".mpeg", ".vob", ".m2ts", ".zip"),
}
_TEXT_CONTROLS = b"\t\n\x0b\f\r\x1a\x1b"
_MAX_FOREIGN = 0.1  # share of bytes above ASCII in text that is not UTF-8
# PS3.6, Table A-1: an object whose SOP class has none of these words in its name holds no picture.
_PICTURE_WORDS = ("Image", "US Volume", "Volume Analysis", "Map Storage", "Segmentation Storage", "Dose Storage",
                  "Overlay", "DICOS")  # fmt: skip
_WANTED = wanted(("SOPClassUID", "Manufacturer", "Rows"))  # every picture has Rows

Reader = Callable[[int], bytes]


def companion_kind(name: str, read: Reader, max_bytes: int) -> str | None:
    """Return what a file is that holds no frame, as a clause for a message; None if it may be a frame.

    Parameters
    ----------
    name
        Its path as text.
    read
        Returns as many bytes of its start as it is asked for, or all of a shorter file.
    max_bytes
        Bytes to read of a DICOM object of an unknown kind; the limit on an inflated one.
    """
    start = read(START)
    base = PurePosixPath(name).name.lower()
    suffix = PurePosixPath(base).suffix
    if start and is_dicom(start):
        return _dicom_kind(read, max_bytes) or ("a DICOMDIR" if base == "dicomdir" else None)
    if suffix in _PICTURE_SUFFIXES or _is_picture(start):
        return None
    if kind := next((kind for magic, kind in _CONTENTS.items() if start.startswith(magic)), None):
        return kind
    if _is_text(start):
        return "text"
    return "no picture, by its name" if base in _NAMES or suffix in _SUFFIXES else None


def source_companion_kind(
    name: str, source: LocalFile | Member, max_bytes: int = DEFAULT_LIMITS.max_bytes
) -> str | None:
    """Return the kind of a file on this machine, as `companion_kind` does; None if it cannot be read."""
    found = source if isinstance(source, LocalFile) else partial(source.read, max_bytes)
    try:
        return companion_kind(name, SourceFile(name, found).start, max_bytes)
    except (OSError, Problem):
        return None  # to decode it says why


def _is_picture(start: bytes) -> bool:
    try:
        detect_format(start)
    except Problem:
        return False
    return True


def _is_text(start: bytes) -> bool:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = start.decode("utf-16", "ignore")
        return not any(ord(character) < 32 and ord(character) not in _TEXT_CONTROLS for character in text)
    if not start or any(byte < 32 for byte in start.translate(None, _TEXT_CONTROLS)):
        return False
    foreign = len(start) - len(start.decode("utf-8", "ignore").encode())  # bytes that are not UTF-8
    return foreign <= _MAX_FOREIGN * len(start)


def _dicom_kind(read: Reader, max_bytes: int) -> str | None:
    try:
        return _kind_of_object(read, max_bytes)
    except Exception:  # hostile bytes can make a parser raise anything; nobody knows then what the object is
        return None


def _kind_of_object(read: Reader, max_bytes: int) -> str | None:
    from pydicom.uid import UID  # of the extra `dicom`

    sop_class, manufacturer, _ = _read_object(read(START), max_bytes)
    uid = UID(sop_class)
    if uid in ULTRASOUND:
        return None
    if uid in SECONDARY_CAPTURE:
        from service.reports.dicom.secondary_capture import MANUFACTURER  # takes half a second to import

        return "an overlay of this program" if manufacturer == MANUFACTURER else None
    if uid.name != uid:
        holds_picture = any(word in uid.name for word in _PICTURE_WORDS)
        return None if holds_picture else f"a DICOM object without a picture: {uid.name}"
    # The SOP class is a private one: an object without pixels and their size holds no picture.
    if uid and not _read_object(read(max_bytes), max_bytes).holds_picture:
        return "a DICOM object without a picture, of a private SOP class"
    return None


class _Object(NamedTuple):
    sop_class: str
    manufacturer: str
    holds_picture: bool


def _read_object(data: bytes, max_bytes: int) -> _Object:
    layout = scan_layout(data, max_bytes, _WANTED)
    values = Values(layout.walk, layout.elements)
    holds_picture = layout.pixels is not None or bool(values.raw("Rows"))
    return _Object(stated_sop_class(layout, values), values.text("Manufacturer"), holds_picture)
