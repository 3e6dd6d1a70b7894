"""An upload and what was found in it become the bytes of DICOM objects."""

import io

from pydicom.dataset import Dataset

from service.dicom_results.capture import overlay_capture
from service.dicom_results.report import classification_report
from service.dicom_results.source import read_source
from service.imaging.dicom.structure import Data
from service.pipeline import Classified, Explained, Pipeline


def report_bytes(pipeline: Pipeline, upload: Data, result: Classified) -> bytes:
    """The structured report of a frame of `upload`, as a file's bytes.

    Raises
    ------
    NoDicomSource
        The upload is no DICOM, or does not name its study, series and instance.
    """
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _bytes(classification_report(source, result, pipeline.engine.package))


def overlay_bytes(pipeline: Pipeline, upload: Data, result: Explained) -> bytes:
    """The overlay of a frame of `upload` as a Secondary Capture, as a file's bytes; raises as `report_bytes` does."""
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _bytes(overlay_capture(source, result, pipeline.paint(result), pipeline.engine.package))


def _bytes(result: Dataset) -> bytes:
    buffer = io.BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
