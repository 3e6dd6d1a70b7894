"""ZIP archives: honest ones, and ones that lie."""

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable

from tests.support.dicom_objects import native
from tests.support.images import encode, speckle


def zip_of(members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive of files by name; a name that ends in a slash is a folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice
        for name, contents in members:
            archive.writestr(zipfile.ZipInfo(name), contents, compression)
    return file.getvalue()


def usb_export() -> list[tuple[str, bytes]]:
    """Return the files that a scanner writes: objects without suffixes, and what lies next to them."""
    return [
        ("DICOM/", b""),
        ("DICOM/S0001/IM_0001", native([speckle(40, 56, 1)])),
        ("DICOM/S0001/IM_0002", native([speckle(40, 56, 2)])),
        ("DICOMDIR", bytes(128) + b"DICM" + bytes(40)),
        ("README.TXT", b"Open INDEX.HTM.\r\n"),
        ("VIEWER/VIEWER.EXE", b"MZ" + bytes(500)),
        ("AUTORUN.INF", b"[autorun]\r\n"),
        ("__MACOSX/DICOM/._IM_0001", b"\0\x05\x16\x07" + bytes(100)),
        (".DS_Store", b"\0\0\0\1Bud1" + bytes(100)),
        ("still.png", encode(speckle(40, 56, 3))),
    ]


def bomb(times: int = 60) -> bytes:
    """Return an archive whose members all are the same compressed zeros (https://www.bamsoftware.com/hacks/zipbomb)."""
    data = zip_of([("0.png", bytes(16 * 2**20))])
    at = data.index(b"PK\1\2")
    entry, end = data[at : data.index(b"PK\5\6")], bytearray(data[data.index(b"PK\5\6") :])
    entries = b"".join(
        entry[:46].replace(b"0.png", b"") + f"{number % 10}".encode() + entry[47:] for number in range(times)
    )
    struct.pack_into("<HHI", end, 8, times, times, len(entries))
    return data[:at] + entries + bytes(end)


def changed(data: bytes, offset: int, value: bytes) -> bytes:
    """Return an archive of one member with another value in its directory entry."""
    at = data.index(b"PK\1\2") + offset
    return data[:at] + value + data[at + len(value) :]
