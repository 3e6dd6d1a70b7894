"""An upload and what was found in it become the bytes of DICOM objects."""

import io

from pydicom.dataset import Dataset

from service.analysis.pipeline import ExplainedFrame, FrameResult, Pipeline
from service.imaging.dicom.scan import Data
from service.reports.dicom import DicomObject
from service.reports.dicom.secondary_capture import overlay_capture
from service.reports.dicom.source import read_source
from service.reports.dicom.structured_report import classification_report


def write_report(pipeline: Pipeline, upload: Data, result: FrameResult) -> DicomObject:
    """The structured report of a frame of `upload`.

    Raises
    ------
    NoDicomSource
        The upload is no DICOM, or does not name its study, series and instance.
    """
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _written(classification_report(source, result, pipeline.engine.package))


def write_overlay(pipeline: Pipeline, upload: Data, result: ExplainedFrame) -> DicomObject:
    """The overlay of a frame of `upload` as a Secondary Capture; raises as `write_report` does."""
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _written(overlay_capture(source, result, pipeline.paint(result), pipeline.engine.package))


def _written(result: Dataset) -> DicomObject:
    buffer = io.BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return DicomObject(str(result.SOPInstanceUID), buffer.getvalue())
