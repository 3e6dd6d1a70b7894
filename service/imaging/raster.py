"""Open PNG, JPEG, BMP, TIFF, WebP and GIF files and decode their frames, with OpenCV or Pillow.

Plain 8-bit PNG, JPEG and WebP go through OpenCV, the fastest decoder; everything else goes through Pillow. The two
differ by at most one gray level.
"""

import io
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from service.errors import FrameTooLarge, UnreadableFrame
from service.imaging.checks.gif import check_gif
from service.imaging.checks.jpeg import check_jpeg
from service.imaging.checks.png import check_png
from service.imaging.checks.tiff import check_tiff
from service.imaging.checks.webp import check_webp
from service.imaging.color import reduce_colors
from service.imaging.files.formats import webp_header
from service.imaging.frame import Frame, Frames, Limits, unreadable
from service.imaging.gray import Gray, orientation_of, to_colors, to_gray, turn_upright
from service.schemas.answers import Format

_MAX_PAGES = 1_000
_MAX_SCANS = 100  # each scan of a progressive JPEG costs a full pass over the picture; encoders write about 10
_JPEG_SOS = b"\xff\xda"  # start of scan

# `Image.open` checks sizes against a process-wide limit and reports with warnings, so each plugin is called directly.
_PLUGINS: dict[Format, type[ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 322, 323


def open_raster(data: bytes, format_: Format, limits: Limits) -> Frames[Frame]:
    """Read the header of a picture file and check its size; raises what `open_frames` raises."""
    # WebP first, without Pillow: Pillow allocates the canvas that the header claims as soon as it opens the file.
    if format_ == "webp":
        width, height, plain = webp_header(data)
        limits.check_size(width, height)
        if plain:
            return Frames(format_, 1, True, width * height, lambda _: _read_plain(data, format_, colored=True))
        data, count = check_webp(data)
        _check_count(count)
        reader = _PillowReader(None, data, format_, count, limits)
        return Frames(format_, count, False, width * height, reader, steps=True)
    if format_ == "gif":
        width, height, times = check_gif(data, _MAX_PAGES)
        _check_count(len(times))
        limits.check_size(width, height)
        reader = _PillowReader(None, data, format_, len(times), limits, times if len(times) > 1 else None)
        return Frames(format_, len(times), False, width * height, reader, steps=True, times=reader.times)
    pages = 1
    if format_ == "png":
        data = check_png(data)
    elif format_ == "jpeg":
        data = check_jpeg(data)
        if data.count(_JPEG_SOS) > _MAX_SCANS:
            raise UnreadableFrame(f"The JPEG has more than {_MAX_SCANS} scans.")
    elif format_ == "tiff":
        pages = check_tiff(data, _MAX_PAGES)
    # Pillow reads the header here and no pixel.
    image = _PLUGINS[format_](io.BytesIO(data))
    count = pages if format_ == "tiff" else int(getattr(image, "n_frames", 1))
    _check_count(count)
    limits.check_size(image.width, image.height)
    # The pages and tiles of a TIFF have sizes of their own, which are checked when their turn comes.
    pixels = limits.max_pixels if format_ == "tiff" and count > 1 else image.width * image.height
    if _is_plain(image, data, format_, count):
        colored, orientation = image.mode == "RGB", orientation_of(image)
        read = partial(_read_plain, data, format_, colored=colored, orientation=orientation)
        return Frames(format_, 1, True, pixels, lambda _: read())
    # Pages of a TIFF are independent; frames of an animation build on those before them.
    reader = _PillowReader(image, data, format_, count, limits)
    return Frames(format_, count, format_ == "tiff", pixels, reader, steps=format_ != "tiff")


def _check_count(count: int) -> None:
    if count > _MAX_PAGES:
        raise FrameTooLarge(f"The file has more than {_MAX_PAGES} pages or frames; split it, or send it as DICOM.")


class _PillowReader:
    """Reads the frames of a picture that Pillow has opened, or opens with the first frame."""

    def __init__(
        self,
        image: ImageFile | None,
        data: bytes,
        format_: Format,
        count: int,
        limits: Limits,
        times: Sequence[int] | None = None,
    ) -> None:
        self.times = times
        self._image, self._data, self._format, self._count, self._limits = image, data, format_, count, limits
        self._position = -1  # index of the last frame read

    def __call__(self, index: int) -> Frame:
        if self._image is None or index <= self._position:
            self._image, self._position = _PLUGINS[self._format](io.BytesIO(self._data)), -1
        image = self._image
        self._seek(image, index)
        self._position = index
        image.load()
        # Pillow turns a TIFF upright by itself, and nothing else.
        orientation = 1 if self._format == "tiff" else orientation_of(image)
        pixels, colors = to_gray(image), to_colors(image)
        upright = None if colors is None else turn_upright(colors, orientation)
        seconds = None if self.times is None else self.times[index] / 1000
        return Frame(
            turn_upright(pixels, orientation), self._format, index, self._count, colors=upright, seconds=seconds
        )

    def _seek(self, image: ImageFile, index: int) -> None:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            image.seek(index)
            self._limits.check_size(image.width, image.height)
            # A tile can be larger than the picture and is decoded whole.
            self._limits.check_size(image.tag_v2.get(_TIFF_TILE_WIDTH, 1), image.tag_v2.get(_TIFF_TILE_HEIGHT, 1))
        elif index:
            # A seek decodes every frame in between, so all of them count.
            self._limits.check_size(image.width, image.height, index - self._position)
            image.seek(index)


def _is_plain(image: ImageFile, data: bytes, format_: Format, count: int) -> bool:
    """Return whether OpenCV reads the file as `service.imaging.decode` defines it."""
    if image.mode not in ("L", "RGB") or count > 1:
        return False
    if format_ == "png":
        bit_depth = data[24]
        # EXIF may follow the pixels, so the whole file is searched. A match by chance only costs speed.
        return bit_depth == 8 and "transparency" not in image.info and b"eXIf" not in data
    return format_ == "jpeg"


def _read_plain(data: bytes, format_: Format, *, colored: bool, orientation: int = 1) -> Frame:
    colors = None
    if not colored:
        pixels = _decode(data, format_, cv2.IMREAD_GRAYSCALE)
    elif format_ == "jpeg":
        # A JPEG stores luma apart from the colors: gray and a quarter-size color copy cost less than full color.
        pixels = _decode(data, format_, cv2.IMREAD_GRAYSCALE)
        colors = reduce_colors(_decode(data, format_, cv2.IMREAD_REDUCED_COLOR_4))
    else:
        full = _decode(data, format_, cv2.IMREAD_COLOR)
        pixels, colors = np.asarray(cv2.cvtColor(full, cv2.COLOR_BGR2GRAY), np.uint8), reduce_colors(full)
    upright = None if colors is None else turn_upright(colors, orientation)
    return Frame(turn_upright(pixels, orientation), format_, colors=upright)


def _decode(data: bytes, format_: Format, flags: int) -> Gray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise unreadable(format_)
    return pixels.astype(np.uint8, copy=False)
