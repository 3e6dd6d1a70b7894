"""Render an exam report as one HTML page: no script, no external resource, laid out for A4."""

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.analysis.exam import FrameRef, frame_ref
from service.schemas.exam import ExamReport

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of the page, in its head and in the response header."""

_REASONS = {
    "color-flow": "Color flow over the tissue",
    "out-of-distribution": "Unlike the training frames",
    "uncertain": "No plane is probable enough",
    "close": "Two planes are close",
    "no-plane": "Cine without a confidently recognized plane",
}


def render(
    report: ExamReport, thumbnails: Mapping[FrameRef, bytes], evidence: Mapping[FrameRef, tuple[bytes, bytes]]
) -> str:
    """Return the page of `report`; the template escapes every text of an upload.

    Parameters
    ----------
    thumbnails
        JPEGs of stills, by file number and frame index. A frame without one is listed by name.
    evidence
        JPEGs of the best frame of each plane: the frame, and the frame under its heat map.
    """
    return _TEMPLATE.render(
        report=report,
        labels={plane.plane: plane.label for plane in report.planes},
        thumbnails=thumbnails,
        evidence=evidence,
        policy=POLICY,
        reasons=_REASONS,
    )


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(frame_ref=frame_ref, data_url=_data_url, percent="{:.1%}".format)
_TEMPLATE = _ENVIRONMENT.get_template("exam.html.jinja")
