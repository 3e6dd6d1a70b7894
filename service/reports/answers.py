"""Build the wire types of `service.schemas` from the results of `service.analysis`."""

import base64
from typing import Any

from service.analysis.cine import Best, Cine, Segment
from service.analysis.pipeline import ExplainedFrame, FrameResult
from service.inference.package import ModelPackage
from service.schemas.answers import (
    DEFAULT_TOP_K,
    Classification,
    ExplainedClassification,
    Explanation,
    FrameInfo,
    ModelInfo,
    Overlay,
    Prediction,
    SubPlane,
)
from service.schemas.batch import CineBest, CineSegment, CineSummary, Source
from service.schemas.manifest import Manifest, Plane, SubPlanes


def model_info(package: ModelPackage) -> ModelInfo:
    """Return the name, version and sha256 of a package."""
    return ModelInfo(name=package.manifest.name, version=package.manifest.version, sha256=package.sha256)


def classification(
    result: FrameResult, package: ModelPackage, request_id: str, top: int = DEFAULT_TOP_K
) -> Classification:
    """Return the answer of `/classify` with the `top` most probable planes."""
    return Classification(**_classified(result, package, request_id, top))


def explained(
    result: ExplainedFrame, package: ModelPackage, request_id: str, overlay: bytes | None, top: int = DEFAULT_TOP_K
) -> ExplainedClassification:
    """Return the answer of `/explain`; `overlay` is the picture as JPEG, or None."""
    height, width = result.frame.pixels.shape
    picture = overlay and Overlay(
        media_type="image/jpeg", width=width, height=height, data=base64.b64encode(overlay).decode()
    )
    explanation = Explanation(
        target=result.target.id,
        heatmap=[[round(value, 4) for value in row] for row in result.heat.values.tolist()],
        raw_max=result.heat.raw_max,
        empty=result.heat.empty,
        overlay=picture or None,
    )
    return ExplainedClassification(**_classified(result, package, request_id, top), explanation=explanation)


def _classified(result: FrameResult, package: ModelPackage, request_id: str, top: int) -> dict[str, Any]:
    planes, scores, frame = package.manifest.planes, result.scores, result.frame
    height, width = frame.pixels.shape
    return {
        "predictions": [
            Prediction(
                plane=planes[number].id,
                label=planes[number].label,
                probability=_rounded(float(scores.probabilities[number])),
            )
            for number in scores.ranked()[:top]
        ],
        "abstain": result.abstain_reason is not None,
        "abstain_reason": result.abstain_reason,
        "sub_plane": sub_plane(result.sub_plane(), package.manifest.sub_planes),
        "frame": FrameInfo(
            format=frame.format,
            width=width,
            height=height,
            index=frame.index,
            count=frame.count,
            crop=result.crop.box,
            crop_source=result.crop.source,
        ),
        "model": model_info(package),
        "request_id": request_id,
    }


def sub_plane(found: tuple[int, float] | None, sub_planes: SubPlanes | None) -> SubPlane | None:
    """Return the sub-plane of a number and a probability; None without them or without sub-planes."""
    if found is None or sub_planes is None:
        return None
    number, probability = found
    plane = sub_planes.sub_planes[number]
    return SubPlane(plane=plane.id, label=plane.label, probability=round(probability, 6))


def cine_summary(source: Source, count: int, cine: Cine, manifest: Manifest) -> CineSummary:
    """Return the summary of a file with `count` frames."""
    return CineSummary(
        file=source.file,
        name=source.name,
        count=count,
        frames=cine.frames,
        cuts=list(cine.cuts),
        segments=[_segment(segment, manifest.planes) for segment in cine.segments],
        best=[_best(best, manifest) for best in cine.best],
    )


def _segment(segment: Segment, planes: tuple[Plane, ...]) -> CineSegment:
    plane = None if segment.plane is None else planes[segment.plane]
    return CineSegment(
        start=segment.start,
        end=segment.end,
        plane=plane.id if plane else None,
        label=plane.label if plane else None,
        confidence=None if segment.confidence is None else _rounded(segment.confidence),
        frames=segment.frames,
        abstained=segment.abstained,
    )


def _best(best: Best, manifest: Manifest) -> CineBest:
    plane = manifest.planes[best.plane]
    return CineBest(
        plane=plane.id,
        label=plane.label,
        frame=best.index,
        probability=_rounded(best.probability),
        smoothed=_rounded(best.smoothed),
        sub_plane=sub_plane(best.sub_plane, manifest.sub_planes),
    )


def _rounded(probability: float) -> float:
    return round(min(1.0, probability), 6)
