"""The files in a ZIP archive, read one by one in memory. A name in an archive is never a path on this machine.

`zipfile` reads the directory, after its size was checked: it builds an object for each entry. The members are read
here, because `zipfile` shares one file between all of them, and knows compressions that take memory without limit.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from service.errors import Problem, UnreadableFrame, UnsupportedFormat, UploadTooLarge
from service.imaging.files.local_file import LazyFile, open_regular
from service.schemas.file_names import name_text

MAX_RATIO = 100
"""Of the bytes in an archive to those of the archive: speckle compresses to no less than half."""

_PIECE = 2**20  # bytes that are read or inflated at a time
_FREE = 2**22  # bytes that have no limit on the ratio
_MAX_DIRECTORY = 4 * 2**20  # bytes; 20,000 members with names of 100 characters need 3 MB
_MEMBER_START = b"PK\x03\x04"
_END, _END_BYTES, _END_64, _LOCATOR_BYTES, _END_64_BYTES = b"PK\x05\x06", 22, b"PK\x06\x07", 20, 56
_MAX_COMMENT = 65_535
_ENCRYPTED = 0x1
_DAMAGED = "The ZIP archive is damaged or cut short."
_REPACK = "Pack it again as an ordinary ZIP archive, or send its files one by one."

Opener = Callable[[], AbstractContextManager[IO[bytes]]]


def is_zip(start: bytes) -> bool:
    """Return whether these are the first bytes of a ZIP archive, which may be empty."""
    return start.startswith((_MEMBER_START, _END))


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes
    ----------
    name
        Its path in the archive as text, which no other member has.
    size
        Bytes, as the directory states.
    """

    name: str
    size: int
    _info: zipfile.ZipInfo
    _open: Opener

    def lazy(self, max_bytes: int) -> LazyFile:
        """Return the file, to be read as `read` does where its bytes are needed."""
        return LazyFile(self.size, partial(self.read, max_bytes))

    def read(self, max_bytes: int) -> bytes:
        """Return the contents.

        Raises
        ------
        UploadTooLarge
            It has more than `max_bytes`.
        UnsupportedFormat
            It is encrypted, or compressed by another method than deflate.
        UnreadableFrame
            It is damaged.
        """
        info = self._info
        if info.flag_bits & _ENCRYPTED:
            raise UnsupportedFormat(f"The file is encrypted in its ZIP archive. {_REPACK}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsupportedFormat(f"The file is compressed in its ZIP archive, and not by deflate. {_REPACK}")
        if info.file_size > max_bytes:
            raise UploadTooLarge(f"The file has {info.file_size} bytes; the limit is {max_bytes} bytes.")
        try:
            with self._open() as file:
                _go_to(info, file)
                return _contents(info, file)
        except (OSError, struct.error, zlib.error, ValueError) as error:
            raise UnreadableFrame("The file is damaged in its ZIP archive.") from error


def _go_to(info: zipfile.ZipInfo, file: IO[bytes]) -> None:
    """Go to the bytes of a member."""
    if info.compress_size > info.file_size + info.file_size // 8 + 1024:
        raise ValueError("no compression makes a file so much longer")
    file.seek(info.header_offset)
    start, name, extra = struct.unpack("<4s22xHH", file.read(30))
    if start != _MEMBER_START:
        raise ValueError("the directory leads to another place")
    file.seek(name + extra, io.SEEK_CUR)


def _contents(info: zipfile.ZipInfo, file: IO[bytes]) -> bytes:
    """Return the contents of a member."""
    contents = io.BytesIO()  # grows in place and returns its buffer
    for piece in _pieces(info, file):
        contents.write(piece)
        if contents.tell() > info.file_size:  # a megabyte can inflate to a gigabyte
            raise ValueError("it is longer than the directory says")
    data = contents.getvalue()
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise ValueError("the contents are not those of the directory")
    return data


def _pieces(info: zipfile.ZipInfo, file: IO[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    left = info.compress_size
    while left and (piece := file.read(min(left, _PIECE))):
        left -= len(piece)
        if inflater is None:
            yield piece
            continue
        while piece:
            yield inflater.decompress(piece, _PIECE)
            piece = inflater.unconsumed_tail
    if inflater is not None:
        yield inflater.flush()


def list_members(open_archive: Opener, max_members: int) -> list[Member]:
    """Return the files in an archive, in the order of its directory.

    Raises
    ------
    UnreadableFrame
        It is damaged.
    UploadTooLarge
        It has more than `max_members` files, or they are too large for an archive of its size.
    """
    try:
        with open_archive() as file:
            length = _check_directory(file)
            infos = zipfile.ZipFile(file).infolist()
    except Problem:
        raise
    except Exception as error:  # hostile bytes can make a parser raise anything
        raise UnreadableFrame(_DAMAGED) from error
    files = [info for info in infos if not info.is_dir()]
    if len(files) > max_members:
        raise UploadTooLarge(f"The ZIP archive has more files than the limit of {max_members}.")
    if sum(info.file_size for info in files) > _FREE + MAX_RATIO * length:
        raise UploadTooLarge(f"The ZIP archive expands to more than {MAX_RATIO} times its size.")
    names = _distinct([_name(info) for info in files])
    return [Member(name, info.file_size, info, open_archive) for name, info in zip(names, files, strict=True)]


def _check_directory(file: IO[bytes]) -> int:
    """Return the bytes of an archive; raise where its directory is larger than any honest one.

    It is found as `zipfile` finds it: the record at the end, and one of ZIP64 wherever its locator is before that.
    """
    length = file.seek(0, io.SEEK_END)
    start = max(0, length - _END_BYTES - _MAX_COMMENT - _LOCATOR_BYTES - _END_64_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        raise UnreadableFrame(_DAMAGED)
    (size,) = struct.unpack_from("<I", tail, at + 12)
    if at >= _LOCATOR_BYTES + _END_64_BYTES and tail[at - _LOCATOR_BYTES :].startswith(_END_64):
        (size,) = struct.unpack_from("<Q", tail, at - _LOCATOR_BYTES - _END_64_BYTES + 40)
    if size > _MAX_DIRECTORY:
        raise UploadTooLarge(f"The directory of the ZIP archive has more than the limit of {_MAX_DIRECTORY} bytes.")
    return length


def _name(info: zipfile.ZipInfo) -> str:
    # Some programs for Windows write its separator, which the format forbids.
    return name_text(info.filename.replace("\\", "/").lstrip("/").encode("utf-8", "surrogateescape"))


def _distinct(names: list[str]) -> list[str]:
    """Return the names, with a number behind those that occurred before."""
    taken = set[str]()
    for number, name in enumerate(names):
        again = 1
        while names[number] in taken:
            again += 1
            names[number] = f"{name} ({again})"
        taken.add(names[number])
    return names


def open_path(path: str | os.PathLike[str]) -> Opener:
    """Return a function that opens an archive on this machine; it raises `OSError`."""
    return partial(open_regular, path)


def open_bytes(data: bytes, part: slice = slice(None)) -> Opener:
    """Return a function that opens an archive in a part of `data`, without a copy of it."""
    return lambda: cast("IO[bytes]", _Part(memoryview(data)[part]))


class _Part(io.BufferedIOBase):
    """A part of some bytes as a file."""

    def __init__(self, part: memoryview) -> None:
        self._part, self._at = part, 0

    def read(self, size: int | None = -1, /) -> bytes:
        end = len(self._part) if size is None or size < 0 else self._at + size
        piece = bytes(self._part[self._at : end])
        self._at += len(piece)
        return piece

    def seek(self, offset: int, origin: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._part)}[origin]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True
