"""An upload goes in, an answer comes out: the one path that the API and the command line share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import NoSuchPlane, Problem
from service.execution.work import Outcome, current_work, stage
from service.imaging.color import FLOW, flow_share
from service.imaging.decode import decode_frame, open_frames
from service.imaging.frame import Frame, Limits
from service.imaging.letterbox import Crop, crop_and_letterbox
from service.imaging.overlay import encode_picture, paint
from service.imaging.sector import Box
from service.inference.engine import Engine, HeatMap, Scores
from service.schemas.answers import AbstainReason, PictureType
from service.schemas.manifest import Plane


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """A frame, the part of it that the model saw, and what the model said."""

    frame: Frame
    crop: Crop
    scores: Scores
    abstain_reason: AbstainReason | None

    def sub_plane(self) -> tuple[int, float] | None:
        """Number and probability of the sub-plane of the first prediction; None where none was told, or it abstains."""
        return None if self.abstain_reason else self.scores.sub_plane()


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFrame(FrameResult):
    """A classified frame with the evidence for one plane."""

    target: Plane
    heat: HeatMap


class Pipeline:
    """Reads frames and asks the engine about them, one frame to a call, in the thread that calls."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits

    def classify(self, upload: bytes, *, index: int = 0) -> FrameResult:
        """Classify frame `index` of an upload; raises what `decode_frame` raises."""
        return self.classify_frame(self.read(upload, index=index))

    def explain(self, upload: bytes, *, index: int = 0, target: str | None = None) -> ExplainedFrame:
        """Classify a frame and find the evidence for one plane, by default the most probable.

        Raises
        ------
        NoSuchPlane
            The model has no plane of the id `target`; told before anything is decoded.
        """
        wanted = None if target is None else self._plane_number(target)
        return self._explain(self.read(upload, index=index), wanted)

    @stage("decode")
    def read(self, upload: bytes, *, index: int = 0) -> Frame:
        """Frame `index` of an upload, upright and gray, as it would be classified; raises what `decode_frame` does."""
        return decode_frame(upload, index=index, limits=self.limits)

    @stage("decode")
    def read_run(self, upload: bytes, *, index: int, most: int) -> list[Frame]:
        """Frames of an upload from `index` on: at most so many, of one size, within the limit on pixels together.

        Raises what `decode_frame` does of the first; the run ends before a frame that cannot be read.
        """
        frames = open_frames(upload, self.limits)
        run = [frames.read(index)]
        fitting = self.limits.max_pixels // run[0].pixels.size
        for following in range(index + 1, min(index + most, index + fitting, frames.count)):
            try:
                frame = frames.read(following)
            except Problem:
                break
            if frame.pixels.shape != run[0].pixels.shape:
                break
            run.append(frame)
        return run

    def classify_frame(self, frame: Frame, *, with_features: bool = False) -> FrameResult:
        """Classify a frame that has been read; `with_features`, its scores can be explained later."""
        return self._classify(frame, with_features=with_features)

    def explain_frame(self, frame: Frame) -> ExplainedFrame:
        """Classify a frame that has been read, and find the evidence for the most probable plane."""
        return self._explain(frame, None)

    def paint(self, explained: ExplainedFrame) -> NDArray[np.uint8]:
        """The evidence painted over its frame [H, W], uint8 [H, W, 3] in OpenCV's order blue, green, red."""
        size = self.engine.manifest.preprocessing.size
        return paint(explained.frame.pixels, explained.heat.values, explained.crop.box, size)

    @stage("encode")
    def draw(self, explained: ExplainedFrame, media_type: PictureType) -> bytes:
        """The same, encoded."""
        return encode_picture(self.paint(explained), media_type)

    def _explain(self, frame: Frame, wanted: int | None) -> ExplainedFrame:
        seen = self._classify(frame, with_features=True)
        number = seen.scores.ranked()[0] if wanted is None else wanted
        with stage("explain"):
            heat = self.engine.explain(seen.scores, number)
        plane = self.engine.manifest.planes[number]
        return ExplainedFrame(frame, seen.crop, seen.scores, seen.abstain_reason, plane, heat)

    def _classify(self, frame: Frame, *, with_features: bool) -> FrameResult:
        preprocessing = self.engine.manifest.preprocessing
        with stage("preprocess"):
            pixels, crop = crop_and_letterbox(frame.pixels, preprocessing, frame.region)
        with stage("infer"):
            scores = self.engine.score(pixels, with_features=with_features)
        seen = FrameResult(frame, crop, scores, self._abstains(frame, crop.box, scores))
        best = scores.ranked()[0]
        plane, probability = self.engine.manifest.planes[best].id, float(scores.probabilities[best])
        current_work().outcomes.append(Outcome(plane, probability, seen.abstain_reason))
        return seen

    def _abstains(self, frame: Frame, crop: Box, scores: Scores) -> AbstainReason | None:
        """Why no plane should be believed; what Doppler paints over the tissue comes before what the model says."""
        height, width = frame.pixels.shape
        if frame.colors is not None and flow_share(frame.colors, crop, height, width) > FLOW:
            return "color-flow"
        return self.engine.abstains(scores)

    def _plane_number(self, plane_id: str) -> int:
        ids = [plane.id for plane in self.engine.manifest.planes]
        if plane_id not in ids:
            raise NoSuchPlane(f"The model has no such plane. It knows {', '.join(ids)}.")
        return ids.index(plane_id)
