"""Draw the evidence of an exam's first frames."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from service.analysis.batch import File, Runner
from service.analysis.exam.reader import ExamReader, FrameRef, frame_ref
from service.analysis.pipeline import Pipeline
from service.analysis.thumbnail import Thumbnail
from service.imaging.letterbox import PreparedFrame
from service.schemas.exam import ExamFrame, ExamReport


async def draw_evidence(
    exam: ExamReport, reader: ExamReader, files: Sequence[File], pipeline: Pipeline, run: Runner
) -> dict[FrameRef, tuple[bytes, ...]]:
    """Return, for the best frame of each plane, two small JPEGs: the frame, and the frame with its evidence.

    The reader holds what a still needs. The best frame of a cine is known only at the end; it is analyzed again. A
    frame whose plane a person named in the model's place has one JPEG: evidence for another plane would mislead.
    """
    kept = {place: thumbnail for _, place, thumbnail in reader.best.values()}
    best = [plane.best for plane in exam.planes if plane.best is not None]
    drawn = [
        run(partial(_draw, pipeline, frame, kept.get(frame_ref(frame.source)), files[frame.source.file]))
        for frame in best
    ]
    places = [frame_ref(frame.source) for frame in best]
    return dict(zip(places, await asyncio.gather(*drawn), strict=True))


def _draw(pipeline: Pipeline, best: ExamFrame, thumbnail: Thumbnail | None, file: File) -> tuple[bytes, ...]:
    index = best.source.frame or 0
    if thumbnail is None:
        frame = _read(file, index, pipeline)
        thumbnail = Thumbnail.of(frame, pipeline.classify_frame(frame, with_features=True))
    if best.correction is not None and best.correction.plane != best.plane:
        return (thumbnail.jpeg,)
    return thumbnail.jpeg, thumbnail.draw_evidence(pipeline.engine)


def _read(file: File, index: int, pipeline: Pipeline) -> PreparedFrame:
    with closing(pipeline.open(file.read(), picture="thumbnail")) as frames:
        frames.step_to(index)  # as the batch did
        return frames.read(index)
