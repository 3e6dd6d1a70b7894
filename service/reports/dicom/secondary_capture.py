"""The overlay as a Secondary Capture Image (PS3.3, A.8.1), with the disclaimer burned into its pixels."""

import cv2
import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from service import __version__
from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame
from service.analysis.text import percent
from service.reports.dicom import DicomObject
from service.reports.dicom.source import Source, derive_uid, read_source

MANUFACTURER = "Fetal Planes (open source)"
DISCLAIMER = "Research use only. Unverified. Not for diagnosis."

_SERIES_NUMBER = 9700
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE_SHARE = 0.045  # height of a line of text, as a share of the overlay's height


def write_overlay(pipeline: Pipeline, result: ExplainedFrame) -> DicomObject:
    """Return the overlay of an explained frame; raises what `read_source` raises."""
    source, package, picture = read_source(result.frame), pipeline.engine.package, pipeline.paint(result)
    share = percent(float(result.scores.probabilities.max()))
    target = result.target
    # OpenCV's font has ASCII only.
    name = target.label if target.label.isascii() else target.id
    stamped = stamp(picture, [DISCLAIMER, f"Evidence for: {name}. First choice: {share}."])
    model = source.text(f"{package.manifest.name} {package.manifest.version}", package.manifest.version)
    capture = highdicom.sc.SCImage(
        pixel_array=np.ascontiguousarray(stamped[..., ::-1]),
        photometric_interpretation="YBR_FULL_422",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        study_instance_uid=source.study,
        series_instance_uid=derive_uid(source.study, package.identity, "overlays"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.derive_uid(package.identity, "overlay", target.id),
        instance_number=source.frame or 1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="fetal-planes",
        software_versions=(__version__, model),
        series_description="RESEARCH USE ONLY, unverified: fetal plane overlay",
        transfer_syntax_uid=JPEGBaseline8Bit,
    )
    # The constructor demands a patient orientation, but the source states none. Both attributes are type 2C or 3 and
    # may be empty when unknown (General Image and General Series modules, PS3.3, C.7.6.1 and C.7.3.1).
    capture.PatientOrientation, capture.Laterality = [], ""
    _declare_lossy_compression(capture, stamped.size)
    # Text of the scanner may still name the patient (PS3.3, C.7.6.1).
    capture.BurnedInAnnotation = source.burned_in
    capture.ImageComments = DISCLAIMER
    capture.DerivationDescription = f"Grad-CAM of {source.text(target.label, target.id)} by {model} over the frame"
    # Link to the frame that the overlay was derived from (PS3.3, C.7.6.1.1.4).
    capture.SourceImageSequence = [_reference(source)]
    return source.write(capture)


def _declare_lossy_compression(capture: highdicom.sc.SCImage, size: int) -> None:
    """Declare JPEG pixels that were `size` bytes: method and ratio of lossy compression (PS3.3, C.7.6.1.1.5)."""
    capture.LossyImageCompression = "01"
    capture.LossyImageCompressionMethod = "ISO_10918_1"
    capture.LossyImageCompressionRatio = round(size / len(capture.PixelData), 2)


def stamp(picture: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """Return `picture` with lines of text below it, uint8 [H', W, 3].

    Viewers show the pixels, but need not show any attribute that could carry the same warning.
    """
    height, width = picture.shape[:2]
    line_height = max(14, round(height * _LINE_SHARE))
    longest = max(cv2.getTextSize(line, _FONT, 1, 1)[0][0] for line in lines)  # pixels at scale 1
    scale = min(line_height / 32, (width - 8) / longest)
    strip = np.zeros((line_height * len(lines) + line_height // 2, width, 3), np.uint8)
    for number, line in enumerate(lines):
        baseline = (4, round(line_height * (number + 1)))
        cv2.putText(strip, line, baseline, _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, strip])


def _reference(source: Source) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class
    item.ReferencedSOPInstanceUID = source.instance
    if source.frame is not None:
        item.ReferencedFrameNumber = source.frame
    return item
