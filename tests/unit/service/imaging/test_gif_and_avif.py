"""GIF and AVIF: the frames of a GIF with their times, an AVIF still upright."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.errors import FrameTooLarge, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import open_frames
from service.imaging.frame import Limits
from tests.support.images import speckle

GRAYS = [speckle(40, 56, seed) for seed in range(4)]


def gif(durations: list[int] | None = None) -> bytes:
    file = io.BytesIO()
    first, *others = map(Image.fromarray, GRAYS)
    options: dict[str, Any] = {"save_all": True, "append_images": others, "duration": durations} if durations else {}
    first.save(file, "GIF", **options)
    return file.getvalue()


def avif(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "AVIF", quality=100, **options)
    return file.getvalue()


def test_a_still_gif_is_one_frame() -> None:
    frames = open_frames(gif())
    assert (frames.format, frames.count, frames.times) == ("gif", 1, None)
    assert np.array_equal(frames.read(0).pixels, GRAYS[0])


def test_the_frames_of_a_gif_have_times() -> None:
    frames = open_frames(gif([50, 200, 0, 100]))
    assert frames.times is not None
    assert list(frames.times) == [0, 50, 250, 350]
    for index in (0, 1, 2, 3, 1):
        frame = frames.read(index)
        assert np.array_equal(frame.pixels, GRAYS[index])
        assert frame.seconds == frames.times[index] / 1000


def test_a_gif_that_lies_is_refused() -> None:
    data = gif([50] * 4)
    for damaged in (data[:-200], data[:13], data[:9]):
        with pytest.raises(UnreadableFrame):
            open_frames(damaged)
    frame = data.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 56, 40))
    for where in (6, frame + 1, frame + 5):  # the screen, the place of a frame, its size
        huge = data[:where] + struct.pack("<H", 60_000) + data[where + 2 :]
        with pytest.raises(FrameTooLarge):
            open_frames(huge)
    with pytest.raises(FrameTooLarge, match="4 frames"):
        open_frames(data, Limits(max_pixels=40 * 56 * 2)).read(3)


def test_an_avif_still_is_read() -> None:
    frames = open_frames(avif(Image.fromarray(GRAYS[0])))
    assert (frames.format, frames.count) == ("avif", 1)
    assert np.abs(frames.read(0).pixels.astype(int) - GRAYS[0]).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_still_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn = Image.fromarray(GRAYS[0])
    upright = open_frames(avif(drawn, exif=exif)).read(0).pixels
    drawn.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(drawn))
    assert np.abs(upright.astype(int) - expected).mean() < 2


def test_the_alpha_of_an_avif_is_black() -> None:
    alpha = np.zeros((40, 56), np.uint8)
    alpha[:, 20:] = 255
    picture = Image.merge("LA", [Image.fromarray(GRAYS[0]), Image.fromarray(alpha)]).convert("RGBA")
    pixels = open_frames(avif(picture)).read(0).pixels
    assert pixels[:, :18].max() < 8
    assert np.abs(pixels[:, 24:].astype(int) - GRAYS[0][:, 24:]).mean() < 3


def test_other_avifs_are_refused() -> None:
    still = avif(Image.fromarray(GRAYS[0]))
    first, *others = map(Image.fromarray, GRAYS)
    with pytest.raises(UnsupportedFormat, match="animated"):
        open_frames(avif(first, save_all=True, append_images=others))
    with pytest.raises(UnreadableFrame):
        open_frames(still[:-40]).read(0)
    with pytest.raises(UnreadableFrame, match="size"):
        open_frames(still.replace(b"ispe", b"xxxx"))
    at = still.index(b"ispe") + 8
    with pytest.raises(FrameTooLarge):
        open_frames(still[:at] + struct.pack(">I", 60_000) + still[at + 4 :])
