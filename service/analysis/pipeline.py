"""Turn an upload into a result: the one path that the API, the jobs and the command line share."""

from contextlib import closing, nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.analysis.abstention import abstain_reason, is_close
from service.analysis.results import ExplainedFrame, FrameResult, ModelIdentity, PlaneScore
from service.errors import NoSuchPlane, Problem
from service.execution.decoders.decoder import Decoder, InProcessDecoder
from service.execution.work import Outcome, current_work, stage
from service.imaging.color import Gray
from service.imaging.files.local_file import Upload
from service.imaging.frame import Frame, Frames, Limits
from service.imaging.letterbox import Picture, Preparation, PreparedFrame
from service.imaging.overlay import encode_picture, paint
from service.inference.engine import Engine
from service.inference.session import Floats
from service.schemas.answers import PictureType

_LARGE = 4_000_000  # pixels; to draw such a picture takes more than 0.1 s


class Pipeline:
    """Decodes frames and runs the engine on them, one frame per call, in the calling thread.

    `decoder` opens the uploads; by default this process decodes them.
    """

    def __init__(self, engine: Engine, limits: Limits, decoder: Decoder | None = None) -> None:
        self.engine = engine
        self.limits = limits
        self.decoder = decoder or InProcessDecoder(limits)
        self.model = ModelIdentity.of(engine.package)

    def classify(self, upload: Upload, *, index: int = 0) -> FrameResult:
        """Classify frame `index` of an upload; raises what `decode_frame` raises."""
        return self.classify_frame(self.prepare(upload, index=index))

    def explain(
        self, upload: Upload, *, index: int = 0, target: str | None = None, picture: Picture = "whole"
    ) -> ExplainedFrame:
        """Classify a frame and compute the evidence for one plane, by default the most probable one.

        The evidence can be painted on the frame if `picture` is `whole`.

        Raises
        ------
        NoSuchPlane
            The model has no plane with the id `target`. Raised before anything is decoded.
        """
        wanted = None if target is None else self._plane_number(target)
        return self._explain(self.prepare(upload, index=index, picture=picture), wanted)

    def open(self, upload: Upload, index: int = 0, picture: Picture = "none") -> Frames[PreparedFrame]:
        """Open a file whose frame `index` is read first, for the model; raises what `open_frames` raises."""
        return self.decoder.open_prepared(upload, Preparation(self.engine.manifest.preprocessing, picture), index)

    @stage("decode")
    def prepare(self, upload: Upload, *, index: int = 0, picture: Picture = "none") -> PreparedFrame:
        """Decode frame `index` of an upload and prepare it for the model; raises what `decode_frame` raises."""
        with closing(self.open(upload, index, picture)) as frames:
            return frames.read(index)

    @stage("decode")
    def read(self, upload: Upload, *, index: int = 0) -> Frame:
        """Decode frame `index` of an upload; raises what `decode_frame` raises."""
        with closing(self.decoder.open(upload, index)) as frames:
            return frames.read(index)

    @stage("decode")
    def read_frames(self, upload: Upload, *, index: int, most: int) -> list[Frame]:
        """Decode up to `most` frames of one size from `index` on, together within the limit on pixels.

        The list ends before a frame that cannot be read. Raises what `decode_frame` raises for the first frame.
        """
        with closing(self.decoder.open(upload, index)) as file:
            frames = [file.read(index)]
            fitting = self.limits.max_pixels // frames[0].pixels.size
            for following in range(index + 1, min(index + most, index + fitting, file.count)):
                try:
                    frame = file.read(following)
                except Problem:
                    break
                if frame.pixels.shape != frames[0].pixels.shape:
                    break
                frames.append(frame)
            return frames

    def classify_frame(self, frame: PreparedFrame, *, with_features: bool = False) -> FrameResult:
        """Classify a prepared frame; `with_features` keeps the features, so that it can be explained later."""
        return self._classify(frame, with_features=with_features)

    def explain_frame(self, frame: PreparedFrame) -> ExplainedFrame:
        """Classify a prepared frame, and compute the evidence for its most probable plane."""
        return self._explain(frame, None)

    def paint(self, explained: ExplainedFrame) -> NDArray[np.uint8]:
        """Paint the evidence over its frame [H, W]: uint8 [H, W, 3] in OpenCV's order blue, green, red."""
        size = self.engine.manifest.preprocessing.size
        return paint(_pixels(explained), explained.heat.values, explained.crop.box, size)

    @stage("encode")
    def draw(self, explained: ExplainedFrame, media_type: PictureType) -> bytes:
        """Return the painted frame as a picture file."""
        with current_work().workers.step_aside() if _pixels(explained).size > _LARGE else nullcontext():
            return encode_picture(self.paint(explained), media_type)

    def _explain(self, frame: PreparedFrame, wanted: int | None) -> ExplainedFrame:
        result = self._classify(frame, with_features=True)
        number = result.scores.ranked()[0] if wanted is None else wanted
        with stage("explain"):
            heat = self.engine.explain(result.scores, number)
        return ExplainedFrame(
            frame=result.frame,
            crop=result.crop,
            scores=result.scores,
            ranked=result.ranked,
            abstain_reason=result.abstain_reason,
            sub_plane=result.sub_plane,
            sub_planes=result.sub_planes,
            model=result.model,
            pixels=frame.picture,
            target=self.engine.manifest.planes[number],
            heat=heat,
        )

    def _classify(self, frame: PreparedFrame, *, with_features: bool) -> FrameResult:
        manifest = self.engine.manifest
        with stage("infer"):
            scores = self.engine.score(frame.view, with_features=with_features)
            reason = abstain_reason(scores, manifest.abstention, frame.flow)
            sub_planes = None if reason else self.engine.score_sub_planes(scores)
        order = scores.ranked()
        first = order[0]
        current_work().outcomes.append(Outcome(manifest.planes[first].id, float(scores.probabilities[first]), reason))
        return FrameResult(
            frame=frame.metadata,
            crop=frame.crop,
            scores=replace(scores, head_inputs=None),  # maps of the classifier; the sub-plane head alone needs them
            ranked=tuple(
                PlaneScore.rounded(manifest.planes[each], float(scores.probabilities[each])) for each in order
            ),
            abstain_reason=reason,
            sub_plane=self._best_sub_plane(sub_planes),
            sub_planes=sub_planes,
            model=self.model,
        )

    def _best_sub_plane(self, probabilities: Floats | None) -> PlaneScore | None:
        described = self.engine.manifest.sub_planes
        if probabilities is None or described is None or is_close(probabilities):
            return None
        best = int(probabilities.argmax())
        return PlaneScore.rounded(described.sub_planes[best], float(probabilities[best]))

    def _plane_number(self, plane_id: str) -> int:
        ids = [plane.id for plane in self.engine.manifest.planes]
        if plane_id not in ids:
            raise NoSuchPlane(f"The model has no such plane. Its planes are {', '.join(ids)}.")
        return ids.index(plane_id)


def _pixels(explained: ExplainedFrame) -> Gray:
    if explained.pixels is None:
        raise ValueError("the frame was explained without its picture")
    return explained.pixels
