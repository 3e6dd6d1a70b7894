"""Write results as PS3.10 files."""

import io

from pydicom.dataset import Dataset

from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.reports.dicom import DicomObject
from service.reports.dicom.secondary_capture import overlay_capture
from service.reports.dicom.source import read_source
from service.reports.dicom.structured_report import classification_report


def write_report(pipeline: Pipeline, result: FrameResult) -> DicomObject:
    """Return the structured report of a classified frame.

    Raises
    ------
    NoDicomSource
        The frame is not of a DICOM object, or the object lacks its Study, Series or SOP Instance UID.
    """
    source = read_source(result.frame)
    return _as_file(classification_report(source, result, pipeline.engine.package))


def write_overlay(pipeline: Pipeline, result: ExplainedFrame) -> DicomObject:
    """Return the overlay of an explained frame as a Secondary Capture; raises like `write_report`."""
    source = read_source(result.frame)
    return _as_file(overlay_capture(source, result, pipeline.paint(result), pipeline.engine.package))


def _as_file(result: Dataset) -> DicomObject:
    buffer = io.BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return DicomObject(str(result.SOPInstanceUID), buffer.getvalue())
