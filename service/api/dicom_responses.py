"""Answers as DICOM: of `/classify` the structured report, of `/explain` the report and the overlay, as two parts."""

import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import Response

from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.errors import NoDicomSource
from service.imaging.dicom.scan import is_dicom

DICOM = "application/dicom"
PARTS = "multipart/related"  # what PS3.18 wraps objects in, also where there is only one

_BINARY = {"schema": {"type": "string", "format": "binary"}}
REPORT_IN_OPENAPI: dict[str, Any] = {DICOM: _BINARY}
PARTS_IN_OPENAPI: dict[str, Any] = {PARTS: _BINARY}


def require_dicom(upload: bytes) -> None:
    """Refuse what no DICOM result can belong to, before any work is done on it."""
    if not is_dicom(upload):
        raise NoDicomSource("A DICOM result needs a DICOM frame: it belongs to that frame's patient and study.")


def reply_report(pipeline: Pipeline, result: FrameResult, headers: dict[str, str]) -> Response:
    """The structured report of a classified frame."""
    from service.reports.dicom.write import write_report  # it takes half a second to load, and few ask for it

    return Response(write_report(pipeline, result).contents, headers=headers, media_type=DICOM)


def reply_report_and_overlay(pipeline: Pipeline, result: ExplainedFrame, headers: dict[str, str]) -> Response:
    """The structured report of an explained frame, and its overlay."""
    from service.reports.dicom.write import write_overlay, write_report

    boundary = uuid.uuid4().hex
    objects = [write_report(pipeline, result), write_overlay(pipeline, result)]
    body = _related([each.contents for each in objects], boundary)
    return Response(body, headers=headers, media_type=f'{PARTS}; type="{DICOM}"; boundary={boundary}')


def _related(parts: Sequence[bytes], boundary: str) -> bytes:
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
