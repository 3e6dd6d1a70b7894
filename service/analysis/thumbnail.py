"""What is kept of a frame for a report: a small picture, and as much of what the model said as its evidence needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.analysis.pipeline import FrameResult
from service.execution.work import stage
from service.imaging.overlay import encode_picture, fit_thumbnail, paint
from service.imaging.sector import Box
from service.inference.engine import Engine, Scores


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A frame made small: some hundred kilobytes, however large it was.

    Attributes
    ----------
    picture
        uint8 [h, w], at most 256 a side.
    jpeg
        The same, encoded.
    crop
        The part of `picture` that the model saw.
    scores
        With features.
    """

    picture: NDArray[np.uint8]
    jpeg: bytes
    crop: Box
    scores: Scores

    @classmethod
    def of(cls, seen: FrameResult) -> "Thumbnail":
        """Sketch a frame that was classified with features."""
        picture = fit_thumbnail(seen.frame.pixels)
        crop = _scaled(seen.crop.box, seen.frame.pixels.shape, picture.shape)
        return cls(picture, encode_picture(picture, "image/jpeg"), crop, seen.scores)

    def draw_evidence(self, engine: Engine) -> bytes:
        """The picture with the evidence for its most probable plane painted over it, as JPEG."""
        with stage("explain"):
            heat = engine.explain(self.scores, self.scores.ranked()[0])
        with stage("encode"):
            painted = paint(self.picture, heat.values, self.crop, engine.manifest.preprocessing.size)
            return encode_picture(painted, "image/jpeg")


def _scaled(box: Box, large: tuple[int, ...], small: tuple[int, ...]) -> Box:
    """A box of a picture [H, W], on the same picture made small; never empty."""
    y, x = small[0] / large[0], small[1] / large[1]
    left, top = min(round(box.left * x), small[1] - 1), min(round(box.top * y), small[0] - 1)
    return Box(left, top, max(left + 1, round(box.right * x)), max(top + 1, round(box.bottom * y)))
