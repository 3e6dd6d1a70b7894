"""Drawn frames as DICOM ultrasound objects. Needs the extra `dicom`."""

import io

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from service.sample.frames import Gray

_QUALITY = 92
_FRAME_TIME_MS = 40


def write_ultrasound(frames: list[Gray], name: str) -> bytes:
    """Return an Ultrasound Image or Multi-frame Image (DICOM PS3.3, A.6 and A.7) of frames [H, W], as JPEG Baseline.

    The same frames and name give the same object.
    """
    pictures = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes() for frame in frames]
    dataset = _header(frames[0], name)
    if len(frames) > 1:
        dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
        dataset.NumberOfFrames, dataset.FrameTime = len(frames), _FRAME_TIME_MS
        dataset.FrameIncrementPointer = 0x0018_1063  # Frame Time
    dataset.LossyImageCompression, dataset.LossyImageCompressionMethod = "01", "ISO_10918_1"
    dataset.LossyImageCompressionRatio = round(sum(map(np.size, frames)) / sum(map(len, pictures)), 1)
    dataset.PixelData = encapsulate(pictures)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _header(frame: Gray, name: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = UltrasoundImageStorage
    uids = [generate_uid(entropy_srcs=["fetal-planes sample", name, level]) for level in ("study", "series", "object")]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uids
    dataset.PatientName, dataset.PatientID = "Drawn^No patient", "DRAWN"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = "", "O", "20260101", "120000"
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = "", "", "1"
    dataset.StudyDescription = "Drawn frames, no patient"
    dataset.Modality, dataset.Manufacturer, dataset.ImageType = "US", "fetal-planes sample", ["DERIVED", "PRIMARY"]
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.Rows, dataset.Columns = frame.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    return dataset
