"""An upload and what was found in it become the bytes of DICOM objects."""

import io

from pydicom.dataset import Dataset

from service.dicom_results import DicomObject
from service.dicom_results.capture import overlay_capture
from service.dicom_results.report import classification_report
from service.dicom_results.source import read_source
from service.imaging.dicom.structure import Data
from service.pipeline import Classified, Explained, Pipeline


def write_report(pipeline: Pipeline, upload: Data, result: Classified) -> DicomObject:
    """The structured report of a frame of `upload`.

    Raises
    ------
    NoDicomSource
        The upload is no DICOM, or does not name its study, series and instance.
    """
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _written(classification_report(source, result, pipeline.engine.package))


def write_overlay(pipeline: Pipeline, upload: Data, result: Explained) -> DicomObject:
    """The overlay of a frame of `upload` as a Secondary Capture; raises as `write_report` does."""
    source = read_source(upload, result.frame.index, result.frame.count, pipeline.limits.max_bytes)
    return _written(overlay_capture(source, result, pipeline.paint(result), pipeline.engine.package))


def _written(result: Dataset) -> DicomObject:
    buffer = io.BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return DicomObject(str(result.SOPInstanceUID), buffer.getvalue())
