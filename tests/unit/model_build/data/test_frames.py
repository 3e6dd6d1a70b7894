"""The cache of decoded frames."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from model_build.data import frames as frame_cache
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames, open_frames


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
