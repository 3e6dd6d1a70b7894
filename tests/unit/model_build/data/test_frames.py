"""The cache of decoded frames."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from model_build.data import frames as frame_cache
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames, open_file, open_frames
from model_build.data.records import DataError, Record
from service.imaging.frame import DEFAULT_LIMITS
from tests.support.dicom_objects import native
from tests.support.images import animation, encode, speckle


def refuse_to_decode(_: object) -> None:
    raise AssertionError("decoded again")


def test_cached_frames_are_the_decoded_ones_and_are_decoded_once(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_records(phantoms)
    some = records[3:30:4]
    first = open_frames(records, tmp_path)(some)
    expected = load_frames(some)
    assert all(np.array_equal(frame, other) for frame, other in zip(first, expected, strict=True))
    monkeypatch.setattr(frame_cache, "decode_file", refuse_to_decode)
    again = pickle.loads(pickle.dumps(open_frames(records, tmp_path)(some)))
    assert all(np.array_equal(frame, other) for frame, other in zip(again, expected, strict=True))


def test_a_changed_file_is_decoded_again(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = read_records(phantoms)[:3]
    open_frames(records, tmp_path)
    monkeypatch.setattr(frame_cache, "decode_file", refuse_to_decode)
    os.utime(records[0].path, ns=(1, 1))
    with pytest.raises(AssertionError, match="decoded again"):
        open_frames(records, tmp_path)


def test_a_changed_decoder_decodes_again(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier cache was keyed by the version of the service, which did not change with the decoder."""
    records = read_records(phantoms)[:3]
    open_frames(records, tmp_path)
    monkeypatch.setattr(frame_cache, "decision_digest", lambda: "the digest of other sources")
    open_frames(records, tmp_path)
    assert len(list(tmp_path.glob("*.frames"))) == 2


def loop(file: Path, count: int) -> list[Record]:
    return [Record(file, "p", 0, "unknown", "train", index=index) for index in range(count)]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", ["dicom", "TIFF", "WEBP"])
def test_every_frame_of_a_loop_is_decoded_in_any_order(tmp_path: Path, kind: str, cached: bool) -> None:
    pixels = [speckle(seed=seed) for seed in range(70)]  # more than are decoded ahead
    options = {"lossless": True} if kind == "WEBP" else {}
    data = native(pixels) if kind == "dicom" else animation(kind, pixels, **options)
    (tmp_path / "loop").write_bytes(data)
    records = loop(tmp_path / "loop", 70)
    load = open_frames(records, tmp_path / "cache" if cached else None)
    some = [records[69], records[3], records[68], records[0]]
    assert [
        np.abs(frame.astype(int) - pixels[each.index]).max() <= 1 for frame, each in zip(load(some), some, strict=True)
    ]
    assert all(np.array_equal(frame, other) for frame, other in zip(load(records), load_frames(records), strict=True))


@pytest.mark.parametrize("cached", [False, True])
def test_all_frames_that_cannot_be_decoded_are_named_with_the_reason(tmp_path: Path, cached: bool) -> None:
    files = {"whole.png": encode(speckle()), "cut.png": encode(speckle())[:300], "empty.png": b"", "text.jpg": b"hello"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "b\nad.bmp").write_bytes(b"")
    records = [Record(file, file.name, 0, "unknown", "train") for file in sorted(tmp_path.iterdir())]
    with pytest.raises(DataError, match="4 of 5 frames cannot be decoded") as refusal:
        open_frames(records, tmp_path / "cache" if cached else None)(records)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 5
    for name in (
        "cut.png: The PNG is damaged",
        "empty.png: The upload is empty",
        r"b\x0aad.bmp: ",
        "text.jpg: The bytes are",
    ):
        assert sum(name in line for line in lines) == 1
    assert not list(tmp_path.glob("cache/*"))


def test_a_damaged_frame_of_a_loop_is_named_with_its_index(tmp_path: Path) -> None:
    pages = [speckle(seed=seed) for seed in range(2)]
    (tmp_path / "loop.dcm").write_bytes(native(pages))
    with pytest.raises(DataError, match=r"1 of 3 frames .*loop\.dcm, frame 2: "):
        load_frames(loop(tmp_path / "loop.dcm", 3))


def test_a_loop_over_the_limit_of_uploads_is_read(tmp_path: Path) -> None:
    frame = np.tile(speckle(), (20, 20))
    (tmp_path / "loop.dcm").write_bytes(native([frame] * (DEFAULT_LIMITS.max_bytes // frame.size + 2)))
    assert open_file(tmp_path / "loop.dcm").count * frame.size > DEFAULT_LIMITS.max_bytes


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 1 frames .*gone\.png: "):
        load_frames([Record(tmp_path / "gone.png", "p", 0, "unknown", "train")])
