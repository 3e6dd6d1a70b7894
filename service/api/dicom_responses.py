"""Answers as DICOM objects: a structured report for `/classify`, report and overlay for `/explain`."""

import uuid

from fastapi import Response

from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.errors import NoDicomSource
from service.imaging.dicom.scan import is_dicom

DICOM = "application/dicom"
RELATED = "multipart/related"  # DICOMweb (PS3.18) wraps objects in it, even a single one


def require_dicom(upload: bytes) -> None:
    """Raise `NoDicomSource` for an upload that is not DICOM, before any work is done on it."""
    if not is_dicom(upload):
        raise NoDicomSource("A DICOM result needs a DICOM upload: it belongs to the upload's patient and study.")


def reply_report(pipeline: Pipeline, result: FrameResult, headers: dict[str, str]) -> Response:
    """Return the structured report of a classified frame."""
    from service.reports.dicom.structured_report import (
        write_report,  # takes half a second to import, and few requests need it
    )

    return Response(write_report(pipeline, result).contents, headers=headers, media_type=DICOM)


def reply_report_and_overlay(pipeline: Pipeline, result: ExplainedFrame, headers: dict[str, str]) -> Response:
    """Return the structured report and the overlay of an explained frame, as `multipart/related`."""
    from service.reports.dicom.secondary_capture import write_overlay
    from service.reports.dicom.structured_report import write_report

    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    objects = [write_report(pipeline, result), write_overlay(pipeline, result)]
    body = b"".join(head + written.contents + b"\r\n" for written in objects) + f"--{boundary}--\r\n".encode()
    return Response(body, headers=headers, media_type=f'{RELATED}; type="{DICOM}"; boundary={boundary}')
