"""Archives: every member within its limits, and no archive takes more than its size justifies."""

import io
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from service.errors import Problem, UnreadableFrame, UnsupportedFormat, UploadTooLarge
from service.imaging.files import archive
from service.imaging.files.archive import Member, is_zip, list_members, open_bytes, open_path
from tests.support.zips import bomb, changed, usb_export, zip_of

FILES = [("a/one.png", b"first" * 100), ("a/two.dcm", b""), ("three", bytes(range(256)))]


def members(data: bytes, most: int = 100) -> list[Member]:
    return list_members(open_bytes(data), most)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_files_are_read(compression: int, tmp_path: Path) -> None:
    data = zip_of([*FILES, ("empty/", b"")], compression)
    path = tmp_path / "study.zip"
    path.write_bytes(data)
    part = slice(7, 7 + len(data))
    for opener in (open_bytes(data), open_path(path), open_bytes(bytes(7) + data + bytes(9), part)):
        found = list_members(opener, 100)
        assert [(each.name, each.read(1000)) for each in found] == FILES
        assert [each.size for each in found] == [500, 0, 256]
    assert is_zip(data)


def test_a_comment_and_bytes_before_the_archive() -> None:
    file = io.BytesIO(zip_of(FILES))
    with zipfile.ZipFile(file, "a") as opened:
        opened.comment = b"of a study" * 20
    assert [each.read(1000) for each in members(file.getvalue())] == [contents for _, contents in FILES]
    assert [each.read(1000) for each in members(b"#!/bin/sh\n" + zip_of(FILES))] == [contents for _, contents in FILES]


def test_names_are_text_and_no_paths() -> None:
    names = ["../../etc/passwd", "/etc/shadow", "a\\b\\c.png", "x", "x", "line\nbreak", "Größe.png"]
    found = [each.name for each in members(zip_of([(name, b"") for name in names]))]
    assert found == ["../../etc/passwd", "etc/shadow", "a/b/c.png", "x", "x (2)", "line\\x0abreak", "Größe.png"]


def test_a_member_over_the_limit_is_refused_before_it_is_inflated() -> None:
    (large,) = members(zip_of([("a", bytes(3000))]))
    with pytest.raises(UploadTooLarge, match="3000 bytes; the limit is 2999"):
        large.read(2999)


def test_a_member_is_in_memory_once_while_it_is_inflated() -> None:
    size = 32 * 2**20
    pattern = np.random.default_rng(0).bytes(2**16)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        (large,) = members(zip_of([("a", pattern * (size // len(pattern)))], compression))
        tracemalloc.start()
        try:
            assert len(large.read(size)) == size
            assert tracemalloc.get_traced_memory()[1] < size * 5 // 4
        finally:
            tracemalloc.stop()


def test_a_member_that_is_longer_than_it_states_is_refused() -> None:
    data = zip_of([("a", bytes(100_000))])
    (lying,) = members(changed(data, 24, struct.pack("<I", 50_000)))
    with pytest.raises(UnreadableFrame, match="damaged in its ZIP"):
        lying.read(60_000)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(16, b"\1\2\3\4"), (20, struct.pack("<I", 3)), (20, b"\xff\xff\xff\x7f"), (42, struct.pack("<I", 9))],
    ids=["checksum", "short", "long", "place"],
)
def test_a_member_that_is_not_what_the_directory_says_is_refused(offset: int, value: bytes) -> None:
    with pytest.raises(UnreadableFrame):
        members(changed(zip_of([("a", b"frame" * 100)]), offset, value))[0].read(1000)


def test_what_is_encrypted_or_compressed_otherwise_is_refused_by_name() -> None:
    (found,) = members(changed(zip_of([("a", b"frame")]), 8, b"\1\0"))
    with pytest.raises(UnsupportedFormat, match="encrypted"):
        found.read(1000)
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        (found,) = members(zip_of([("a", b"frame")], compression))
        with pytest.raises(UnsupportedFormat, match="not by deflate"):
            found.read(1000)


def test_too_many_files_and_bombs_are_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    many = zip_of([(f"{number}", b"") for number in range(11)])
    assert len(members(many, 11)) == 11
    with pytest.raises(UploadTooLarge, match="more files than the limit of 10"):
        members(many, 10)
    with pytest.raises(UploadTooLarge, match="100 times its size"):
        members(bomb())
    monkeypatch.setattr(archive, "_MAX_DIRECTORY", 500)
    with pytest.raises(UploadTooLarge, match="directory"):
        members(many)


def test_a_directory_that_zip64_states_is_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of(FILES)
    at = data.index(b"PK\5\6")
    size, start = struct.unpack_from("<II", data, at + 12)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    large = data[:at] + end + locator + data[at:]
    assert len(members(large)) == 3
    monkeypatch.setattr(archive, "_MAX_DIRECTORY", size - 1)
    honest_looking = large[:-10] + struct.pack("<I", 46) + large[-6:]
    with pytest.raises(UploadTooLarge, match="directory"):
        members(honest_looking)


def test_no_damage_raises_anything_but_a_problem() -> None:
    rng, data = random.Random(0), zip_of(usb_export())
    outcomes = set()
    for _ in range(400):
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(mutant)) if rng.random() < 0.4 else rng.randrange(len(mutant) - 900, len(mutant))
            mutant[at] = rng.randrange(256)
        if rng.random() < 0.2:
            del mutant[rng.randrange(len(mutant)) :]
        try:
            for each in members(bytes(mutant)):
                each.read(2**20)
            outcomes.add("read")
        except Problem as problem:
            outcomes.add(problem.code)
    assert {"read", "unreadable-frame"} <= outcomes
