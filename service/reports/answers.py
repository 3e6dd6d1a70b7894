"""Build the wire types of `service.schemas` from the results of `service.analysis`."""

import base64
from typing import Any

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


def model_info(package: ModelPackage) -> ModelInfo:
    """Return the name, version and sha256 of a package."""
    return ModelInfo(name=package.manifest.name, version=package.manifest.version, sha256=package.sha256)


def classification(
    result: FrameResult, package: ModelPackage, request_id: str, top: int = DEFAULT_TOP_K
) -> Classification:
    """Tell the result of `Pipeline.classify`, with its `top` most probable planes."""
    return Classification(**_classified(result, package, request_id, top))


def explained(
    result: ExplainedFrame, package: ModelPackage, request_id: str, overlay: bytes | None, top: int = DEFAULT_TOP_K
) -> ExplainedClassification:
    """Tell the result of `Pipeline.explain`; `overlay` is the picture as JPEG, or None to leave it out."""
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
                probability=round(min(1.0, float(scores.probabilities[number])), 6),
            )
            for number in scores.ranked()[:top]
        ],
        "abstain": result.abstain_reason is not None,
        "abstain_reason": result.abstain_reason,
        "sub_plane": SubPlane.of(result.sub_plane(), package.manifest.sub_planes),
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
