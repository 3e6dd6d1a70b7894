"""Augmentation: variations of a training frame that other scanners, operators and hospitals would produce."""

from numpy.random import Generator

from model_build.data.augmentation import geometry, graphics, intensity, low_signal, texture, wide_field
from model_build.data.records import Frame
from model_build.recipe import Augmentation
from service.imaging.sector import Box


def augment(
    pixels: Frame, sector: Box, reference: Frame, size: int, strength: Augmentation, random: Generator
) -> Frame:
    """Augment one frame uint8 [H, W]; returns a network input uint8 [S, S], where S is `size`.

    `sector` is the box that the service would crop, `reference` another training frame of any size, the target of
    histogram matching. `random` is the only source of randomness: the same state gives the same picture.
    """
    # Geometry first, on the full-resolution frame; it ends in the network's input, which the other kinds modify.
    picture = geometry.augment(pixels, sector, size, strength.geometry, random)
    if strength.wide_field > 0:
        picture = wide_field.augment(picture, strength.wide_field, random)
    if strength.intensity > 0:
        picture = intensity.augment(picture, reference, strength.intensity, random)
    if strength.low_signal > 0:
        picture = low_signal.augment(picture, strength.low_signal, random)
    if strength.texture > 0:
        picture = texture.augment(picture, strength.texture, random)
    if strength.graphics > 0:
        picture = graphics.augment(picture, strength.graphics, random)
    return picture
