"""Sort an exam: its frames by plane, the items of its protocol, and frames that a person should review.

A cine contributes only the most probable frame of each plane. An item that is fulfilled means that frames were
recognized as its plane; it implies nothing about their quality. An item counts as missing only after every file was
read. Files with the same bytes count once. `service/web/exam_sort.js` sorts by the
same rules.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from service.analysis.abstention import CLOSE
from service.analysis.exam.corrections import Statement, corrected_frame, frame_without_plane
from service.analysis.protocols.check import Candidate, check_items
from service.analysis.text import percent
from service.analysis.thumbnail import Thumbnail
from service.execution.work import current_work
from service.schemas.answers import DEFAULT_TOP_K, ModelInfo
from service.schemas.batch import BatchSummary, CineSummary, FrameAnswer, FrameProblem, Source
from service.schemas.exam import (
    Duplicate,
    ExamFrame,
    ExamPlane,
    ExamReport,
    FrameWithoutPlane,
    ReviewFrame,
    ReviewReason,
)
from service.schemas.manifest import Plane
from service.schemas.protocols import Doubt, Protocol, ProtocolInfo

MAX_THUMBNAILS = 600
"""Stills that a report shows; it lists the others by name, because thousands of pictures would fill the memory."""

FrameRef = tuple[int, int]
"""Number of a file, index of a frame."""


def frame_ref(source: Source) -> FrameRef:
    """Return the key of a frame's pictures."""
    return source.file, source.frame or 0


class ExamOptions(NamedTuple):
    """What a request says about an exam.

    Attributes
    ----------
    protocol
        What the exam should hold.
    chosen
        Frames that a person chose to be the first of their plane.
    unread
        Number of further files of the exam that were not sent.
    corrected
        What a person says of frames: these frames count as the person says.
    """

    protocol: Protocol
    chosen: frozenset[FrameRef] = frozenset()
    unread: int = 0
    corrected: Mapping[FrameRef, Statement] = MappingProxyType({})


@dataclass
class ExamReader:
    """Takes the answers of a batch and sorts them into an exam.

    Each has two predictions, or all where frames are corrected: `top` says how many.

    Attributes
    ----------
    planes, options
        The model's planes; what the request says about the exam.
    thumbnails
        JPEGs of the first stills that came with a thumbnail.
    best
        For each plane id, the probability, place and thumbnail of its most probable still so far. The thumbnail holds
        what the evidence needs, so that the frame is not analyzed a second time.
    """

    planes: Sequence[Plane]
    options: ExamOptions
    thumbnails: dict[FrameRef, bytes] = field(default_factory=dict)
    best: dict[str, tuple[float, FrameRef, Thumbnail]] = field(default_factory=dict)
    _frames: list[ExamFrame] = field(default_factory=list)
    _review: list[ReviewFrame] = field(default_factory=list)
    _refused: list[FrameProblem] = field(default_factory=list)
    _without_plane: list[FrameWithoutPlane] = field(default_factory=list)

    @property
    def top(self) -> int:
        """Number of predictions that the answers need."""
        return len(self.planes) if self.options.corrected else DEFAULT_TOP_K

    def add(self, answer: FrameAnswer | FrameProblem, thumbnail: Thumbnail | None) -> None:
        """Take the next answer, and the frame's thumbnail if it has one."""
        if isinstance(answer, FrameProblem):
            self._refused.append(answer)
            return
        said = self.options.corrected.get(frame_ref(answer.source))
        if said is not None:
            self._add_corrected(answer, said)
        elif answer.frame.count == 1:
            self._add_still(answer)
        if thumbnail is not None and answer.frame.count == 1:
            self._keep(answer, thumbnail)

    def finish(self, summary: BatchSummary, model: ModelInfo, duplicates: list[Duplicate]) -> ExamReport:
        """Return the exam, after the last answer; no answer is one of the `duplicates`."""
        for cine in summary.cines:
            self._add_cine(cine)
        files_left = summary.files_left + self.options.unread
        protocol = self.options.protocol
        return ExamReport(
            protocol=ProtocolInfo(**{name: getattr(protocol, name) for name in ProtocolInfo.model_fields}),
            items=check_items(protocol.items, list(self._candidates()), files_left),
            planes=[self._sort_plane(plane) for plane in self.planes],
            review=self._review,
            refused=self._refused,
            without_plane=self._without_plane,
            duplicates=duplicates,
            cines=summary.cines,
            skipped=summary.skipped,
            files=summary.files,
            files_left=files_left,
            frames=summary.frames,
            complete=not files_left,
            model=model,
            request_id=current_work().request_id,
        )

    def _add_corrected(self, answer: FrameAnswer, said: Statement) -> None:
        if said.plane is None:
            self._without_plane.append(frame_without_plane(answer))
        else:
            self._frames.append(corrected_frame(answer, said.plane, said.sub_plane))

    def _add_still(self, answer: FrameAnswer) -> None:
        first, second, *_ = answer.predictions
        reason: ReviewReason | None = answer.abstain_reason
        if reason is None:
            self._frames.append(
                ExamFrame(
                    source=answer.source,
                    **dict(first),
                    runner_up=second,
                    sub_plane=answer.sub_plane,
                    sub_plane_reason=answer.sub_plane_reason,
                )
            )
            if _is_close(self._frames[-1]):
                reason = "close"
        if reason is not None:
            self._review.append(ReviewFrame(reason=reason, source=answer.source, **dict(first), runner_up=second))

    def _keep(self, answer: FrameAnswer, thumbnail: Thumbnail) -> None:
        """Keep the pictures of a still that was added."""
        place = frame_ref(answer.source)
        if len(self.thumbnails) < MAX_THUMBNAILS:
            self.thumbnails[place] = thumbnail.jpeg
        frame = self._frames[-1] if self._frames else None
        if frame is None or frame.source != answer.source:
            return  # no plane
        best = self.best.get(frame.plane)
        if best is None or frame.probability > best[0]:
            self.best[frame.plane] = frame.probability, place, thumbnail

    def _add_cine(self, cine: CineSummary) -> None:
        corrected = {frame for file, frame in self.options.corrected if file == cine.file}
        for best in cine.best:
            if best.frame in corrected:
                continue  # its answer has been added
            source = Source(file=cine.file, name=cine.name, frame=best.frame)
            # `ExamFrame` ignores the fields of a `CineBest` that it does not have.
            self._frames.append(ExamFrame(source=source, runner_up=None, **dict(best)))
        if cine.frames and not cine.best and not corrected:
            source = Source(file=cine.file, name=cine.name, frame=None)
            self._review.append(
                ReviewFrame(reason="no-plane", source=source, plane=None, label=None, probability=None, runner_up=None)
            )

    def _candidates(self) -> Iterator[Candidate]:
        """Yield every frame that can count for an item, now or after a person's check."""
        for frame in self._frames:
            chosen = frame_ref(frame.source) in self.options.chosen
            doubt: Doubt | None = "close" if _is_close(frame) and not chosen else None
            close = frame.sub_plane_reason == "close"
            yield Candidate(frame.source, frame.plane, frame.probability, frame.sub_plane, close, doubt)
        for review in self._review:
            if review.reason == "uncertain" and review.plane is not None and review.probability is not None:
                yield Candidate(review.source, review.plane, review.probability, doubt="uncertain")

    def _sort_plane(self, plane: Plane) -> ExamPlane:
        frames = [frame for frame in self._frames if frame.plane == plane.id]
        frames.sort(key=lambda frame: (-frame.probability, frame_ref(frame.source)))
        frames = _mark_ties(frames)
        frames.sort(key=lambda frame: frame_ref(frame.source) not in self.options.chosen)
        return ExamPlane(
            plane=plane.id,
            label=plane.label,
            best=frames[0] if frames else None,
            chosen=bool(frames) and frame_ref(frames[0].source) in self.options.chosen,
            frames=frames,
        )


def _is_close(frame: ExamFrame) -> bool:
    return frame.runner_up is not None and frame.probability - frame.runner_up.probability < CLOSE


def _mark_ties(frames: list[ExamFrame]) -> list[ExamFrame]:
    """Mark frames, sorted by probability, that show the same percentage as the first if there are several."""
    tied = [frame for frame in frames if percent(frame.probability) == percent(frames[0].probability)]
    if len(tied) < 2:
        return frames
    return [frame.model_copy(update={"tied": True}) for frame in tied] + frames[len(tied) :]
