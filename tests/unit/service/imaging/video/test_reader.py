"""The frames of a video: the right ones, at the right times, upright, with square pixels."""

import itertools
import random
from array import array
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.errors import FrameTooLarge, Problem, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import open_frames
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import Frame, Frames, Limits
from service.imaging.video import conversion, index
from service.imaging.video.capture import Capture
from tests.support.videos import (
    CODECS,
    interlaced,
    numbered,
    read_number,
    retimed,
    sample,
    trimmed,
    turned,
    with_aspect,
    with_picture,
    woven,
    write_video,
)


@pytest.mark.parametrize("kind", CODECS)
def test_every_frame_is_read_in_order_with_its_time(kind: str) -> None:
    frames = open_frames(sample(kind))
    assert (frames.format, frames.count, frames.independent) == (kind, 40, False)
    rate = 25 if kind == "mpeg" else 20
    for number in range(frames.count):
        frame = frames.read(number)
        assert (read_number(frame.pixels), frame.index, frame.count) == (number, number, 40)
        assert frame.seconds == pytest.approx(number / rate, abs=0.002)
        assert frame.pixels.shape == (240, 320)
        assert frame.colors is None


@pytest.mark.parametrize("kind", CODECS)
def test_any_frame_is_read_in_any_order(kind: str) -> None:
    frames = open_frames(sample(kind))
    order = [39, 0, 13, 12, 11, *random.Random(0).sample(range(40), 12)]
    assert [read_number(frames.read(number).pixels) for number in order] == order


def test_a_far_frame_is_sought_and_those_before_it_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    counter, step = itertools.count(), Capture.step

    def counted(capture: Capture) -> bool:
        next(counter)
        return step(capture)

    frames = open_frames(sample("mp4", 120))
    monkeypatch.setattr(Capture, "step", counted)
    assert read_number(frames.read(119).pixels) == 119
    assert next(counter) < 30


def test_a_variable_rate_has_the_times_of_the_file() -> None:
    durations = [1, 5, 2, 1, 1, 9, 1, 1, 3, 1]
    frames = open_frames(retimed(write_video(numbered(10), "mp4", 20), durations))
    assert frames.times is not None
    assert list(frames.times) == [50 * sum(durations[:number]) for number in range(10)]
    assert [read_number(frames.read(number).pixels) for number in (9, 5, 6, 2)] == [9, 5, 6, 2]
    assert frames.read(6).seconds == pytest.approx(0.95)


def test_frames_that_an_edit_list_hides_are_not_there() -> None:
    frames = open_frames(trimmed(sample("mp4"), 12, 20))
    assert frames.count == 28
    assert [read_number(frames.read(number).pixels) for number in range(28)] == list(range(12, 40))
    assert frames.read(4).seconds == pytest.approx(0.2)


@pytest.mark.parametrize(("degrees", "size"), [(90, (320, 240)), (180, (240, 320)), (270, (320, 240))])
def test_rotation_is_applied(degrees: int, size: tuple[int, int]) -> None:
    frame = open_frames(turned(sample("mp4"), degrees)).read(5)
    assert frame.pixels.shape == size
    upright = np.rot90(frame.pixels, degrees // 90)
    assert read_number(np.ascontiguousarray(upright)) == 5


def test_pixels_become_square() -> None:
    frame = open_frames(with_aspect(sample("mpeg"), 3)).read(5)
    assert frame.pixels.shape == (240, 427)
    assert read_number(frame.pixels) == 5
    assert open_frames(with_aspect(sample("mpeg"), 2)).read(0).pixels.shape == (240, 320)


def test_of_an_interlaced_frame_the_first_field_is_kept() -> None:
    frames = woven(8)
    for data in (write_video(frames, "mpeg"), interlaced(write_video(frames, "mpeg"))):
        opened = open_frames(data)
        for number, frame in enumerate(frames):
            pixels = opened.read(number).pixels.astype(int)
            first = frame[::2].repeat(2, axis=0).astype(int)
            assert np.abs(pixels[60:-60] - first[60:-60]).mean() < 6
            lines = np.abs(np.diff(pixels[60:-60], axis=0)).max(axis=0)
            assert np.median(lines) < 30


def test_an_interlaced_video_that_cannot_be_converted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # As an interlaced H.264, which OpenCV cannot write: without the change of the stream, MPEG-2 is like it.
    monkeypatch.setattr("service.imaging.video.capture._PROGRESSIVE_BIT", 0)
    frames = open_frames(interlaced(write_video(woven(8), "mpeg")))
    with pytest.raises(UnsupportedFormat, match="interlaced"):
        frames.read(0)


def test_progressive_frames_stay_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320)).astype(np.uint8)
    moving = [np.roll(noise, 9 * step, 1) for step in range(4)]
    frames = open_frames(write_video(moving, "avi"))
    assert np.abs(frames.read(2).pixels.astype(int) - moving[2]).mean() < 12


def resized(data: bytes, numbers: range, height: int, width: int) -> bytes:
    """A video whose frames have another size there, as a recorder writes it when a scanner changes its mode."""
    for number in numbers:
        picture = numbered(number + 1, height, width)[number]
        data = with_picture(data, number, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes())
    return data


def test_frames_that_change_their_size_are_scaled_to_that_of_the_first() -> None:
    """OpenCV does so, and does not tell."""
    noisy = [
        np.maximum(frame, np.random.default_rng(0).integers(0, 60, frame.shape).astype(np.uint8))
        for frame in numbered(12)
    ]
    frames = open_frames(resized(write_video(noisy, "avi"), range(4, 8), 150, 200))
    assert frames.count == 12
    for number in (*range(12), 5, 0, 11):
        frame = frames.read(number)
        assert (read_number(frame.pixels), frame.index) == (number, number)
        assert frame.pixels.shape == (240, 320)


def test_a_video_without_its_end_is_read_up_to_there() -> None:
    whole = sample("avi")
    frames = open_frames(whole[: len(whole) // 2])
    numbers = readable(frames)
    assert 10 < len(numbers) < 25
    assert numbers == list(range(len(numbers)))


def readable(frames: Frames[Frame]) -> list[int]:
    numbers = []
    for number in range(frames.count):
        try:
            numbers.append(read_number(frames.read(number).pixels))
        except Problem:
            break
    return numbers


def test_a_header_that_states_more_frames_says_that_the_video_is_cut() -> None:
    data = sample("mp4")
    at = data.index(b"mdat") + 4
    frames = open_frames(data)
    assert frames.count == 40
    # The index at the end of the file stays; most of what it refers to becomes unreadable.
    damaged = open_frames(data[: at + 3000] + bytes(at + 9000 - at - 3000) + data[at + 9000 :])
    assert len(readable(damaged)) < 40
    with pytest.raises(Problem):
        damaged.read(39)


@pytest.mark.parametrize("kind", CODECS)
def test_what_is_no_video_behind_its_first_bytes_is_refused_by_name(kind: str) -> None:
    for data in (sample(kind)[:40], sample(kind)[:40] + bytes(4000)):
        with pytest.raises(UnreadableFrame, match=rf"^The {kind.upper()} video is damaged"):
            open_frames(data).read(0)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FrameTooLarge, match="320 x 240"):
        open_frames(sample("mp4"), Limits(max_pixels=70_000))
    with pytest.raises(FrameTooLarge, match="427 x 240"):
        open_frames(with_aspect(sample("mpeg"), 3), Limits(max_pixels=80_000))
    with pytest.raises(FrameTooLarge, match="3600 s"):
        open_frames(retimed(write_video(numbered(3), "mp4", 1), [1, 3600, 1]))
    monkeypatch.setattr(index, "MAX_FRAMES", 39)
    with pytest.raises(FrameTooLarge, match="more than 39 frames"):
        open_frames(sample("mp4"))


def test_without_time_and_rate_a_video_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_packets", lambda *_: [(0, True), (0, False)])
    monkeypatch.setattr(Capture, "get", lambda _, what: 320.0 if what != cv2.CAP_PROP_FPS else 0.0)
    with pytest.raises(UnreadableFrame, match="nor a frame rate"):
        open_frames(sample("mp4"))


def test_where_a_failed_conversion_would_go_unnoticed_no_video_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_LIBRARY", None)
    with pytest.raises(UnsupportedFormat, match="platform"):
        open_frames(sample("mp4"))


def test_a_long_video_on_disk_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "cine.mp4"
    path.write_bytes(sample("mp4"))
    data = LocalFile(path).read(max_bytes=1000)
    assert not isinstance(data, bytes)
    assert read_number(open_frames(data).read(20).pixels) == 20


def test_the_index_finds_a_frame_by_a_rounded_time() -> None:
    times = array("i", [0, 33, 67, 68, 70, 100])
    found = index.VideoIndex(times, array("i", [0, 3]), timed=True, missing=False)
    assert [found.at(time) for time in (0.4, 33.4, 67.2, 68.1, 69.6, 99.8)] == [0, 1, 2, 3, 4, 5]
    assert found.at(50) is found.at(103) is None
    assert [found.key_before(number) for number in range(6)] == [0, 0, 0, 3, 3, 3]
