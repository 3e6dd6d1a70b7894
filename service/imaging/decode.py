"""An upload's bytes become an upright gray frame, or a refusal that names its cause.

What every kind of file means:

- **size**: read from the header and checked before a pixel is decoded. Of an animation every frame up to the one asked
  for counts, since they must all be decoded to reach it.
- **color**: luma of ITU-R 601 (0.299 R + 0.587 G + 0.114 B), no color management. CMYK by way of RGB. A small copy
  keeps the colors themselves, for `color.flow_share` to look at.
- **16 bits** a pixel: scaled linearly from the full range of the type (0 to 65535) to 0..255; 12-bit TIFF from 4095.
  Never from the frame's own extremes: the same tissue would look different from frame to frame. Pixels of 32 bits and
  floats have no defined range and are refused.
- **alpha**, also of a palette or one transparent color: composited over black, which is what scanners leave around a
  sector.
- **EXIF orientation**: applied, so that the frame is upright.
- **animated or multi-page** PNG, WebP and TIFF: `index` picks the frame, from 0, as a viewer would show it.

Plain 8-bit PNG, JPEG and WebP go through OpenCV, which is the fastest; all else through Pillow. The two differ by at
most one gray level.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from service.errors import FrameTooLarge, NoSuchFrame, Problem, UnreadableFrame, UnsupportedFormat, UploadTooLarge
from service.imaging.color import Colors, reduce_colors
from service.imaging.dicom.scan import Data
from service.imaging.formats import detect_format, tiff_pages, webp_header
from service.imaging.gray import Gray, orientation_of, to_colors, to_gray, turn_upright
from service.imaging.sector import Box
from service.schemas.answers import Format

try:
    from service.imaging.dicom.image import open_dicom
except ImportError as error:  # the extra `dicom` is not installed
    _DICOM_MISSING: ImportError | None = error
else:
    _DICOM_MISSING = None

_MAX_SIDE = 16_384  # beyond it JPEG, WebP and OpenCV each end somewhere, and no scanner comes near
_MAX_PAGES = 1_000
_MAX_SCANS = 100  # a progressive JPEG of a few bytes a scan costs a full pass for each; encoders write about 10

# The plugins are called by themselves, since `Image.open` judges size by a process-wide limit and by warnings.
_PLUGINS: dict[Format, type[ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 322, 323

cv2.setNumThreads(1)  # frames are decoded side by side; threads within one would fight over the same cores


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before decoding."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 32_000_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes
    ----------
    pixels
        uint8 [H, W], upright, 0 is black; contiguous.
    format
        The format that the bytes are of.
    index, count
        Which frame of the file this is, from 0, and how many the file has.
    region
        The part of the frame that shows tissue, where the file itself says so, as DICOM may.
    colors
        A small copy in color, as `reduce_colors` makes it; None where the frame is gray.
    """

    pixels: Gray
    format: Format
    index: int = 0
    count: int = 1
    region: Box | None = None
    colors: Colors | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The frames of one file, opened once and decoded one by one: never more than one of them is in memory.

    Not for two threads at once. Animations are fastest read in rising order: to go back is to begin again.

    Attributes
    ----------
    format, count
        As of `Frame`.
    independent
        Whether a damaged frame leaves those after it readable.
    """

    format: Format
    count: int
    independent: bool
    _read: Callable[[int], Frame]

    def read(self, index: int) -> Frame:
        """Decode frame `index`, from 0.

        Raises
        ------
        NoSuchFrame, UnreadableFrame, FrameTooLarge
            The index is past the end; no pixels can be had; the frame is over the limits.
        """
        if not 0 <= index < self.count:
            raise NoSuchFrame(f"There is no frame {index}: the file has {self.count}, counted from 0.")
        with _told(self.format):
            return self._read(index)


def open_frames(data: Data, limits: Limits = DEFAULT_LIMITS) -> Frames:
    """Open a PNG, JPEG, BMP, TIFF, WebP or DICOM; nothing is decoded yet.

    Parameters
    ----------
    data
        The whole file. Of a DICOM a memory map will do, of which no more is read than is needed.
    limits
        Sizes beyond which nothing is decoded.

    Raises
    ------
    EmptyUpload, UnsupportedFormat
        No bytes; bytes of no format that is read here.
    UploadTooLarge, FrameTooLarge
        Over the limits in bytes; in pixels, length of side or pages.
    UnreadableFrame
        The file is damaged.
    """
    if len(data) > limits.max_bytes:
        raise UploadTooLarge(f"The upload has {len(data)} bytes; the limit is {limits.max_bytes}.")
    format_ = detect_format(data)
    with _told(format_):
        return _open_dicom(data, limits) if format_ == "dicom" else _open(bytes(data), format_, limits)


def decode_frame(data: Data, *, index: int = 0, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """Decode frame `index` of a file; raises what `open_frames` and `Frames.read` raise."""
    return open_frames(data, limits).read(index)


@contextmanager
def _told(format_: Format) -> Iterator[None]:
    """Tell whatever a parser of hostile bytes raises as a problem of these bytes."""
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        raise _unreadable(format_) from error


def _open(data: bytes, format_: Format, limits: Limits) -> Frames:
    if format_ == "webp":
        width, height, plain = webp_header(data)
        _check_size(width, height, limits)
        if plain:
            return Frames(format_, 1, True, lambda _: _read_plain(data, format_, colored=True))
    if format_ == "jpeg" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise UnreadableFrame(f"The JPEG has more than {_MAX_SCANS} scans.")
    image = _PLUGINS[format_](io.BytesIO(data))
    count = tiff_pages(data, _MAX_PAGES) if format_ == "tiff" else int(getattr(image, "n_frames", 1))
    if format_ == "tiff" and count > _MAX_PAGES:
        raise FrameTooLarge(f"The file has more than {_MAX_PAGES} pages.")
    _check_size(image.width, image.height, limits)
    if _is_plain(image, data, format_, count):
        colored, orientation = image.mode == "RGB", orientation_of(image)
        return Frames(format_, 1, True, lambda _: _read_plain(data, format_, colored=colored, orientation=orientation))
    return Frames(format_, count, format_ == "tiff", _PillowReader(image, data, format_, count, limits))


def _open_dicom(data: Data, limits: Limits) -> Frames:
    if _DICOM_MISSING:
        raise UnsupportedFormat("DICOM is not read here: the service was installed without its extra `dicom`.")
    image = open_dicom(data, max_bytes=limits.max_bytes, max_side=_MAX_SIDE, max_pixels=limits.max_pixels)

    def read(index: int) -> Frame:
        pixels, colors = image.frame(index)
        return Frame(pixels, "dicom", index, image.count, image.region, colors)

    return Frames("dicom", image.count, True, read)


class _PillowReader:
    """Steps through a picture that Pillow has opened."""

    def __init__(self, image: ImageFile, data: bytes, format_: Format, count: int, limits: Limits) -> None:
        self._image, self._data, self._format, self._count, self._limits = image, data, format_, count, limits
        self._at = -1

    def __call__(self, index: int) -> Frame:
        if index <= self._at:
            self._image, self._at = _PLUGINS[self._format](io.BytesIO(self._data)), -1
        self._seek(index)
        self._at = index
        self._image.load()
        # Pillow has turned a TIFF upright by itself.
        orientation = 1 if self._format == "tiff" else orientation_of(self._image)
        pixels, colors = to_gray(self._image), to_colors(self._image)
        upright = None if colors is None else turn_upright(colors, orientation)
        return Frame(turn_upright(pixels, orientation), self._format, index, self._count, colors=upright)

    def _seek(self, index: int) -> None:
        image = self._image
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            image.seek(index)
            _check_size(image.width, image.height, self._limits)
            tile = image.tag_v2.get(_TIFF_TILE_WIDTH, 1), image.tag_v2.get(_TIFF_TILE_HEIGHT, 1)
            _check_size(*tile, self._limits)  # a tile can be larger than the picture, and is decoded whole
        elif index:
            _check_size(image.width, image.height, self._limits, index - self._at)
            image.seek(index)


def _check_size(width: int, height: int, limits: Limits, frames: int = 1) -> None:
    if max(width, height) > _MAX_SIDE:
        raise FrameTooLarge(f"The frame is {width} x {height} pixels; the limit is {_MAX_SIDE} a side.")
    if width * height * frames > limits.max_pixels:
        frames_text = f"{frames} frames of " if frames > 1 else ""
        raise FrameTooLarge(f"{frames_text}{width} x {height} pixels are over the limit of {limits.max_pixels}.")


def _unreadable(format_: Format) -> UnreadableFrame:
    return UnreadableFrame(f"The {format_.upper()} is damaged, cut short, or of a kind that is not read.")


def _is_plain(image: ImageFile, data: bytes, format_: Format, count: int) -> bool:
    """Whether OpenCV reads the file as this module defines it."""
    if image.mode not in ("L", "RGB") or count > 1:
        return False
    if format_ == "png":
        bit_depth = data[24]
        # Looked for in all of the file, as EXIF may follow the pixels; found there by chance it does no harm.
        return bit_depth == 8 and "transparency" not in image.info and b"eXIf" not in data
    return format_ == "jpeg"


def _read_plain(data: bytes, format_: Format, *, colored: bool, orientation: int = 1) -> Frame:
    colors = None
    if not colored:
        pixels = _decode_plain(data, format_, cv2.IMREAD_GRAYSCALE)
    elif format_ == "jpeg":  # its luma is stored apart, and a small copy costs less than all of its colors
        pixels = _decode_plain(data, format_, cv2.IMREAD_GRAYSCALE)
        colors = reduce_colors(_decode_plain(data, format_, cv2.IMREAD_REDUCED_COLOR_4))
    else:
        full = _decode_plain(data, format_, cv2.IMREAD_COLOR)
        pixels, colors = np.asarray(cv2.cvtColor(full, cv2.COLOR_BGR2GRAY), np.uint8), reduce_colors(full)
    upright = None if colors is None else turn_upright(colors, orientation)
    return Frame(turn_upright(pixels, orientation), format_, colors=upright)


def _decode_plain(data: bytes, format_: Format, flags: int) -> Gray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise _unreadable(format_)
    return pixels.astype(np.uint8, copy=False)
