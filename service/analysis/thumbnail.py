"""What a report keeps of a frame: a small picture, and the part of the model's output that its evidence needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.analysis.results import FrameResult
from service.execution.work import stage
from service.imaging.letterbox import PreparedFrame
from service.imaging.overlay import encode_picture, paint
from service.imaging.sector import Box
from service.inference.engine import Engine, Scores


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A small copy of a frame: some hundred kilobytes, whatever the size of the frame."""

    picture: NDArray[np.uint8]  # [h, w], at most 256 pixels per side
    jpeg: bytes  # `picture` as a JPEG file
    crop: Box  # the part of `picture` that the model saw
    scores: Scores  # with features

    @classmethod
    def of(cls, frame: PreparedFrame, result: FrameResult) -> "Thumbnail":
        """Return the thumbnail of a frame that has one as its picture, and whose `result` holds features."""
        if frame.picture is None:
            raise ValueError("the frame was prepared without a picture")
        picture, facts = frame.picture, frame.metadata
        crop = _scale_box(result.crop.box, (facts.height, facts.width), picture.shape)
        return cls(picture, encode_picture(picture, "image/jpeg"), crop, result.scores)

    def draw_evidence(self, engine: Engine) -> bytes:
        """Return the picture with the evidence for its most probable plane painted over it, as JPEG."""
        with stage("explain"):
            heat = engine.explain(self.scores, self.scores.ranked()[0])
        with stage("encode"):
            painted = paint(self.picture, heat.values, self.crop, engine.manifest.preprocessing.size)
            return encode_picture(painted, "image/jpeg")


def _scale_box(box: Box, large: tuple[int, ...], small: tuple[int, ...]) -> Box:
    """Return a box of a picture of shape `large`, on its copy of shape `small`; never empty."""
    y, x = small[0] / large[0], small[1] / large[1]
    left, top = min(round(box.left * x), small[1] - 1), min(round(box.top * y), small[0] - 1)
    return Box(left, top, max(left + 1, round(box.right * x)), max(top + 1, round(box.bottom * y)))
