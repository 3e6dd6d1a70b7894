"""An upload's bytes become an upright grey frame, or a refusal that names its cause.

What every kind of file means:

- **size**: read from the header and checked before a pixel is decoded. Of an animation every frame up to the one asked
  for counts, since they must all be decoded to reach it.
- **colour**: luma of ITU-R 601 (0.299 R + 0.587 G + 0.114 B), no colour management. CMYK by way of RGB.
- **16 bits** a pixel: scaled linearly from the full range of the type (0 to 65535) to 0..255; 12-bit TIFF from 4095.
  Never from the frame's own extremes: the same tissue would look different from frame to frame. Pixels of 32 bits and
  floats have no defined range and are refused.
- **alpha**, also of a palette or one transparent colour: composited over black, which is what scanners leave around a
  sector.
- **EXIF orientation**: applied, so that the frame is upright.
- **animated or multi-page** PNG, WebP and TIFF: `index` picks the frame, from 0, as a viewer would show it.

Plain 8-bit PNG, JPEG and WebP go through OpenCV, which is the fastest; all else through Pillow. The two differ by at
most one grey level.
"""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from service.errors import FrameTooLarge, NoSuchFrame, Problem, UnreadableFrame, UnsupportedFormat, UploadTooLarge
from service.imaging.sector import Box
from service.imaging.sniff import Format, sniff, tiff_pages, webp_header

try:
    from service.imaging.dicom.image import open_dicom
except ImportError as error:  # the extra `dicom` is not installed
    _DICOM_MISSING: ImportError | None = error
else:
    _DICOM_MISSING = None

Grey = NDArray[np.uint8]

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
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 258, 262, 322, 323
_TIFF_WHITE_IS_ZERO = 0

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
    """

    pixels: Grey
    format: Format
    index: int = 0
    count: int = 1
    region: Box | None = None


def decode_frame(data: bytes, *, index: int = 0, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """Decode one frame of a PNG, JPEG, BMP, TIFF, WebP or DICOM.

    Parameters
    ----------
    data
        The whole file.
    index
        Which frame of an animated, multi-page or multi-frame file, from 0.
    limits
        Sizes beyond which nothing is decoded.

    Raises
    ------
    EmptyUpload, UnsupportedFormat
        No bytes; bytes of no format that is read here.
    UploadTooLarge, FrameTooLarge
        Over the limits in bytes; in pixels, length of side or pages.
    NoSuchFrame, UnreadableFrame
        The index is past the end; no pixels can be had from the file.
    """
    if len(data) > limits.max_bytes:
        raise UploadTooLarge(f"The upload has {len(data)} bytes; the limit is {limits.max_bytes}.")
    format_ = sniff(data)
    try:
        return _decode(data, format_, index, limits)
    except Problem:
        raise
    except Exception as error:  # a parser of hostile bytes can raise anything, and the bytes are the cause
        raise _unreadable(format_) from error


def _decode(data: bytes, format_: Format, index: int, limits: Limits) -> Frame:
    if format_ == "dicom":
        return _decode_dicom(data, index, limits)
    if format_ == "webp":
        width, height, plain = webp_header(data)
        _check_size(width, height, limits)
        if plain:
            _check_index(index, 1)
            return Frame(_decode_plain(data, format_), format_)
    if format_ == "jpeg" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise UnreadableFrame(f"The JPEG has more than {_MAX_SCANS} scans.")
    image = _PLUGINS[format_](io.BytesIO(data))
    count = tiff_pages(data, _MAX_PAGES) if format_ == "tiff" else int(getattr(image, "n_frames", 1))
    if format_ == "tiff" and count > _MAX_PAGES:
        raise FrameTooLarge(f"The file has more than {_MAX_PAGES} pages.")
    _check_size(image.width, image.height, limits)
    _check_index(index, count)
    if _is_plain(image, data, format_, count):
        return Frame(_upright(_decode_plain(data, format_), _orientation(image)), format_)
    _seek(image, index, limits)
    image.load()
    # Pillow has turned a TIFF upright by itself.
    orientation = 1 if format_ == "tiff" else _orientation(image)
    return Frame(_upright(_to_grey(image), orientation), format_, index, count)


def _decode_dicom(data: bytes, index: int, limits: Limits) -> Frame:
    if _DICOM_MISSING:
        raise UnsupportedFormat("DICOM is not read here: the service was installed without its extra `dicom`.")
    image = open_dicom(data, max_bytes=limits.max_bytes, max_side=_MAX_SIDE, max_pixels=limits.max_pixels)
    _check_index(index, image.count)
    return Frame(image.frame(index), "dicom", index, image.count, image.region)


def _check_size(width: int, height: int, limits: Limits, frames: int = 1) -> None:
    if max(width, height) > _MAX_SIDE:
        raise FrameTooLarge(f"The frame is {width} x {height} pixels; the limit is {_MAX_SIDE} a side.")
    if width * height * frames > limits.max_pixels:
        frames_text = f"{frames} frames of " if frames > 1 else ""
        raise FrameTooLarge(f"{frames_text}{width} x {height} pixels are over the limit of {limits.max_pixels}.")


def _check_index(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise NoSuchFrame(f"There is no frame {index}: the file has {count}, counted from 0.")


def _unreadable(format_: Format) -> UnreadableFrame:
    return UnreadableFrame(f"The {format_.upper()} is damaged, cut short, or of a kind that is not read.")


def _seek(image: ImageFile, index: int, limits: Limits) -> None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        image.seek(index)
        _check_size(image.width, image.height, limits)
        tile = image.tag_v2.get(_TIFF_TILE_WIDTH, 1), image.tag_v2.get(_TIFF_TILE_HEIGHT, 1)
        _check_size(*tile, limits)  # a tile can be larger than the picture, and is decoded whole
    elif index:
        _check_size(image.width, image.height, limits, index + 1)
        image.seek(index)


def _is_plain(image: ImageFile, data: bytes, format_: Format, count: int) -> bool:
    """Whether OpenCV reads the file as this module defines it."""
    if image.mode not in ("L", "RGB") or count > 1:
        return False
    if format_ == "png":
        bit_depth = data[24]
        # Looked for in all of the file, as EXIF may follow the pixels; found there by chance it does no harm.
        return bit_depth == 8 and "transparency" not in image.info and b"eXIf" not in data
    return format_ == "jpeg"


def _decode_plain(data: bytes, format_: Format) -> Grey:
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise _unreadable(format_)
    return pixels.astype(np.uint8, copy=False)


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none or it cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata does not make a readable picture unreadable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Grey, orientation: int) -> Grey:
    """Undo an EXIF orientation: from 5 on the picture is transposed, and each also names two flips."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _to_grey(image: ImageFile) -> Grey:
    """The grey values uint8 [H, W] of a loaded picture of any mode."""
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        raise UnreadableFrame("Pixels of 32 bits, signed or floating have no defined range.")
    if image.has_transparency_data:
        grey, alpha = image.convert("RGBA").convert("LA").split()
        return _uint8(cv2.multiply(np.asarray(grey), np.asarray(alpha), scale=1 / 255))
    if image.mode == "LAB":
        return np.asarray(image.getchannel(0))
    if image.mode == "CMYK":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))


def _from_16_bits(image: ImageFile) -> Grey:
    pixels = np.asarray(image).astype(np.uint16)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = tags.get(_TIFF_BITS, (16,))[0]
    grey = _uint8(cv2.convertScaleAbs(pixels, alpha=255 / (2**bits - 1)))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[pixels == transparent] = 0
    return _uint8(255 - grey) if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO else grey


def _uint8(pixels: NDArray[np.generic]) -> Grey:
    return pixels.astype(np.uint8, copy=False)
