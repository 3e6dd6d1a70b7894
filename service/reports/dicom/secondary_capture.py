"""The overlay as a Secondary Capture (PS3.3, A.8.1), with its warning in the picture itself."""

import cv2
import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from service import __version__
from service.analysis.pipeline import ExplainedFrame
from service.inference.package import ModelPackage
from service.reports.dicom.source import Source, derive_uid

MANUFACTURER = "Fetal Planes (open source)"
DISCLAIMER = "Research use only. Unverified. Not for diagnosis."

_SERIES_NUMBER = 9700
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP_SHARE = 0.045  # of the picture's height, for a line of text


def overlay_capture(
    source: Source, result: ExplainedFrame, picture: NDArray[np.uint8], package: ModelPackage
) -> highdicom.sc.SCImage:
    """Make the Secondary Capture of an overlay.

    Parameters
    ----------
    source
        What the frame was read from.
    result
        The explained frame.
    picture
        Its overlay, uint8 [H, W, 3] in the order blue, green, red.
    package
        The model that made it.
    """
    share = float(result.scores.probabilities.max())
    stamped = stamp(picture, [DISCLAIMER, f"Evidence for: {result.target.label}. First choice: {share:.0%}."])
    model = f"{package.manifest.name} {package.manifest.version}"
    capture = highdicom.sc.SCImage(
        pixel_array=np.ascontiguousarray(stamped[..., ::-1]),
        photometric_interpretation="YBR_FULL_422",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        study_instance_uid=source.attributes.StudyInstanceUID,
        series_instance_uid=derive_uid(source.attributes.StudyInstanceUID, package.sha256, "overlays"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.derive_uid(package.sha256, "overlay", result.target.id),
        instance_number=source.frame or 1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="fetal-planes",
        software_versions=(__version__, model[:64]),
        series_description="RESEARCH USE ONLY, unverified: fetal plane overlay",
        transfer_syntax_uid=JPEGBaseline8Bit,
    )
    # Which way the frame lies, and of which side, nobody has said.
    capture.PatientOrientation, capture.Laterality = [], ""
    capture.LossyImageCompression = "01"
    capture.LossyImageCompressionMethod = "ISO_10918_1"
    capture.LossyImageCompressionRatio = round(stamped.size / len(capture.PixelData), 2)
    capture.BurnedInAnnotation = source.burned_in
    capture.ImageComments = DISCLAIMER
    capture.DerivationDescription = f"Grad-CAM of {result.target.label} by {model} over the frame"
    capture.SourceImageSequence = [_reference(source)]
    source.give_to(capture)
    return capture


def stamp(picture: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """Add lines of text below a picture, uint8 [H, W, 3]: a viewer shows no attribute that could say the same."""
    height, width = picture.shape[:2]
    line_height = max(14, round(height * _STRIP_SHARE))
    unit = max(cv2.getTextSize(line, _FONT, 1, 1)[0][0] for line in lines)
    scale = min(line_height / 32, (width - 8) / unit)
    strip = np.zeros((line_height * len(lines) + line_height // 2, width, 3), np.uint8)
    for number, line in enumerate(lines):
        place = (4, round(line_height * (number + 1)))
        cv2.putText(strip, line, place, _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, strip])


def _reference(source: Source) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.attributes.SOPClassUID
    item.ReferencedSOPInstanceUID = source.attributes.SOPInstanceUID
    if source.frame is not None:
        item.ReferencedFrameNumber = source.frame
    return item
