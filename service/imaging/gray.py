"""Convert a picture of any mode to upright gray levels and colors; the rules are in `service.imaging.decode`."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.ImageFile import ImageFile

from service.errors import UnreadableFrame
from service.imaging.color import Colors, reduce_colors
from service.imaging.color import Gray as Gray

_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_TIFF_WHITE_IS_ZERO = 0
_COLORED = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")


def orientation_of(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where it is missing or cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # a picture with broken metadata is still readable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turn_upright(pixels: Gray, orientation: int) -> Gray:
    """Undo an EXIF orientation of a picture [H, W] or [H, W, 3].

    Orientations 5 to 8 transpose the picture; each orientation also stands for two possible flips.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def to_gray(image: ImageFile) -> Gray:
    """Return the gray levels uint8 [H, W] of a loaded picture of any mode."""
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        raise UnreadableFrame("Pixels of 32 bits, signed pixels and floating-point pixels have no defined range.")
    if (alpha := _alpha(image)) is not None:
        gray = image.convert("RGBA").convert("RGB").convert("L")
        return _uint8(cv2.multiply(np.asarray(gray), alpha, scale=1 / 255))
    if image.mode == "LAB":
        return np.asarray(image.getchannel(0))
    if image.mode == "CMYK":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))


def to_colors(image: ImageFile) -> Colors | None:
    """Return the small color copy of a loaded picture, as `reduce_colors` makes it; None where it is gray."""
    if image.mode not in _COLORED:
        return None
    if (alpha := _alpha(image)) is None:
        return reduce_colors(np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1]))
    red, green, blue, _ = cv2.split(np.asarray(image.convert("RGBA")))
    over_black = [cv2.multiply(channel, alpha, scale=1 / 255) for channel in (blue, green, red)]
    return reduce_colors(_uint8(cv2.merge(over_black)))


def _alpha(image: ImageFile) -> Gray | None:
    """Return the alpha channel uint8 [H, W]; None where there is none, or where it is zero everywhere.

    Some programs write four channels and leave the fourth at zero; a viewer shows such a picture all the same.
    """
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return alpha if alpha.any() else None


def _from_16_bits(image: ImageFile) -> Gray:
    pixels = np.asarray(image).astype(np.uint16)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = tags.get(_TIFF_BITS, (16,))[0]
    gray = _uint8(cv2.convertScaleAbs(pixels, alpha=255 / (2**bits - 1)))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray[pixels == transparent] = 0
    return _uint8(255 - gray) if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO else gray


def _uint8(pixels: NDArray[np.generic]) -> Gray:
    return pixels.astype(np.uint8, copy=False)
