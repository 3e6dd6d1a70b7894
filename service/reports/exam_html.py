"""Render an exam report as one HTML page: no script, no external resource, laid out for A4."""

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.analysis.exam.reader import FrameRef, frame_ref
from service.analysis.text import GUESSES, ITEM_STATES, REASONS, count, left_text, percent, sub_plane_text, unnamed_text
from service.reports.html_page import POLICY, created_now, page_templates
from service.schemas.exam import ExamFrame, ExamReport

if TYPE_CHECKING:
    from jinja2 import Template


def render(
    report: ExamReport, thumbnails: Mapping[FrameRef, bytes], evidence: Mapping[FrameRef, tuple[bytes, ...]]
) -> str:
    """Return the page of `report`; the template escapes every text of an upload.

    Parameters
    ----------
    thumbnails
        JPEGs of stills, by file number and frame index. A frame without one is listed by name.
    evidence
        JPEGs of the first frame of each plane: the frame, and the frame under its heat map if there is one.
    """
    return _template().render(
        report=report,
        thumbnails=thumbnails,
        evidence=evidence,
        policy=POLICY,
        created=created_now(),
        cines={cine.file: cine for cine in report.cines},
    )


def group_frames(frames: Sequence[ExamFrame]) -> dict[str, list[ExamFrame]]:
    """Return the frames of a plane by sub-plane, in the order of their first frames; "" for frames without one."""
    groups: dict[str, list[ExamFrame]] = {}
    for frame in frames:
        groups.setdefault(sub_plane_text(frame.sub_plane, frame.sub_plane_reason), []).append(frame)
    return groups


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


@cache
def _template() -> "Template":
    """Return the compiled template; compiling it takes longer than filling it in."""
    environment = page_templates(Path(__file__).parent)
    environment.filters.update(frame_ref=frame_ref, data_url=_data_url, percent=percent, group_frames=group_frames)
    environment.globals.update(
        count=count,
        sub_plane_text=sub_plane_text,
        left_text=left_text,
        unnamed_text=unnamed_text,
        reasons=REASONS,
        states=ITEM_STATES,
        guesses=GUESSES,
    )
    return environment.get_template("exam.html.jinja")
