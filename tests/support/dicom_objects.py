"""DICOM objects of every supported kind and of some others, made in code. Patients and pictures are invented."""

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, RLELossless

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
LOSSLESS, LOSSLESS_FIRST = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
LS_LOSSLESS, LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
US, US_MULTI = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"

PLANTED = {
    "PatientName": "Zanzibar^Quokka",
    "PatientID": "QK-7731-PLANTED",
    "PatientBirthDate": "19870612",
    "StudyDate": "20190404",
    "StudyTime": "115959.123",
    "AccessionNumber": "ACC5550123",
    "ReferringPhysicianName": "Bandicoot^Wombat",
    "InstitutionName": "Hospital of Xylophones",
    "PatientComments": "lives at Yellowbrick Road",
    "OperatorsName": "Numbat^Dingo",
}
"""Values that must never appear outside a DICOM object."""

Pixels = NDArray[Any]
Encoder = Callable[[Pixels], bytes]


def describe(frames: Sequence[Pixels], photometric: str = "MONOCHROME2", bits: int | None = None) -> Dataset:
    """Return a complete header of an ultrasound object of `frames`, each [H, W] or [H, W, 3], without its pixels."""
    first = frames[0]
    allocated = 8 * first.dtype.itemsize
    stored = bits or allocated
    ds = Dataset()
    ds.SOPClassUID = US if len(frames) == 1 else US_MULTI
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4", "1.2.3.4.1"
    for keyword, value in PLANTED.items():
        setattr(ds, keyword, value)
    ds.PatientSex, ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "F", "S1", 1, 1
    ds.Modality, ds.Manufacturer, ds.ImageType = "US", "Phantom", ["ORIGINAL", "PRIMARY"]
    ds.Rows, ds.Columns = first.shape[:2]
    ds.SamplesPerPixel = 3 if first.ndim == 3 else 1
    ds.PhotometricInterpretation = photometric
    if first.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, stored, stored - 1
    ds.PixelRepresentation = int(first.dtype.kind == "i")
    if len(frames) > 1:
        ds.NumberOfFrames, ds.FrameTime, ds.FrameIncrementPointer = len(frames), 40, 0x0018_1063
    return ds


def native(frames: Sequence[Pixels], syntax: str = EXPLICIT, **changes: Any) -> bytes:
    """Return an uncompressed object; `changes` may include `photometric` and the parameters of `write`."""
    ds = describe(frames, changes.pop("photometric", "RGB" if frames[0].ndim == 3 else "MONOCHROME2"))
    raw = b"".join(frame.byteswap().tobytes() if syntax == BIG else frame.tobytes() for frame in frames)
    if syntax == BIG and frames[0].dtype.itemsize == 1:
        raw = np.frombuffer(raw + bytes(len(raw) % 2), "<u2").astype(">u2").tobytes()
        changes.setdefault("pixels_vr", "OW")
    return write(ds, raw, syntax, **changes)


def write(ds: Dataset, pixels: bytes | None, syntax: str, *, pixels_vr: str | None = None, **changes: Any) -> bytes:
    """Return an object as a file. `changes` are attributes to set; None deletes an attribute."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = changes.get("SOPClassUID") or ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    if pixels is not None:
        ds.PixelData = pixels + bytes(len(pixels) % 2)
        encapsulated = syntax not in (IMPLICIT, EXPLICIT, BIG, DEFLATED)
        ds["PixelData"].VR = pixels_vr or ("OB" if encapsulated or ds.BitsAllocated == 8 else "OW")
        ds["PixelData"].is_undefined_length = encapsulated
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def compressed(frames: Sequence[Pixels], syntax: str, encode: Encoder, photometric: str, **changes: Any) -> bytes:
    """Return an encapsulated object.

    `fragments` is the number of fragments per frame; `offsets=False` leaves the basic offset table empty.
    """
    ds = describe(frames, photometric, changes.pop("bits", None))
    fragments, offsets = changes.pop("fragments", 1), changes.pop("offsets", True)
    parts = [encode(frame) for frame in frames]
    return write(ds, encapsulate(parts, fragments_per_frame=fragments, has_bot=offsets), syntax, **changes)


def jpeg(frame: Pixels) -> bytes:
    """Return a JPEG baseline frame of best quality; [H, W, 3] is RGB and becomes YCbCr, not subsampled."""
    picture = frame if frame.ndim == 2 else frame[..., ::-1]
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100, *sampling])[1].tobytes()


def jpeg_as_rgb(frame: Pixels) -> bytes:
    """Return a JPEG baseline frame whose components are RGB, without a marker that declares it."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=100, subsampling=0, keep_rgb=True)
    data = buffer.getvalue().replace(b"\x03R\x11\x00G\x11\x00B\x11\x00", b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00")
    data = data.replace(b"\x03R\x00G\x00B\x00", b"\x03\x01\x00\x02\x00\x03\x00")
    adobe = data.find(b"\xff\xee")
    return data if adobe < 0 else data[:adobe] + data[adobe + 16 :]


def rle(frame: Pixels) -> bytes:
    """Return a frame as RLE lossless."""
    return get_encoder(RLELossless).encode(
        np.ascontiguousarray(frame),
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=1 if frame.ndim == 2 else 3,
        number_of_frames=1,
        bits_allocated=8 * frame.dtype.itemsize,
        bits_stored=8 * frame.dtype.itemsize,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2" if frame.ndim == 2 else "RGB",
        planar_configuration=0,
    )


def jpeg_ls_lossless(frame: Pixels) -> bytes:
    """Return a frame as lossless JPEG-LS."""
    return bytes(jpeg_ls.encode_array(np.ascontiguousarray(frame), interleave_mode=0 if frame.ndim == 2 else 2))


def jpeg_2000(frame: Pixels, **options: Any) -> bytes:
    """Return a frame as a bare lossless JPEG 2000 codestream."""
    buffer = io.BytesIO()
    options = {"irreversible": False, "no_jp2": True, "mct": 0} | options
    Image.fromarray(frame).save(buffer, "JPEG2000", **options)
    return buffer.getvalue()


def lossless_jpeg(frame: Pixels, precision: int = 8, predictor: int = 1, restart_rows: int = 0) -> bytes:
    """Return a frame [H, W] or [H, W, 3] as lossless JPEG (ITU-T T.81, annex H); every code has 5 bits."""
    planes = frame[..., None] if frame.ndim == 2 else frame
    rows, columns, samples = planes.shape
    bands = [planes[first : first + (restart_rows or rows)] for first in range(0, rows, restart_rows or rows)]
    coded = [_coded(_differences(band.astype(np.int64), precision, predictor)) for band in bands]
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(samples))
    scanned = b"".join(bytes([number + 1, 0]) for number in range(samples))
    counts = bytes([0, 0, 0, 0, 17, *[0] * 11])
    restart = b"\xff\xdd" + struct.pack(">HH", 4, restart_rows * columns) if restart_rows else b""
    return b"".join(
        [
            b"\xff\xd8",
            b"\xff\xc3" + struct.pack(">HBHHB", 8 + 3 * samples, precision, rows, columns, samples) + components,
            b"\xff\xc4" + struct.pack(">HB", 19 + 17, 0) + counts + bytes(range(17)),
            restart,
            b"\xff\xda" + struct.pack(">HB", 6 + 2 * samples, samples) + scanned + bytes([predictor, 0, 0]),
            coded[0],
            *(bytes([0xFF, 0xD0 + number % 8]) + part for number, part in enumerate(coded[1:])),
            b"\xff\xd9",
        ]
    )


def _differences(values: NDArray[np.int64], precision: int, predictor: int) -> list[int]:
    a, b, c = values[1:, :-1], values[:-1, 1:], values[:-1, :-1]
    predicted = np.empty_like(values)
    predicted[0, 0] = 1 << precision - 1
    predicted[0, 1:], predicted[1:, 0] = values[0, :-1], values[:-1, 0]
    predicted[1:, 1:] = [a, b, c, a + b - c, a + (b - c >> 1), b + (a - c >> 1), a + b >> 1][predictor - 1]
    differences: list[int] = ((values - predicted + 32767) % 65536 - 32767).ravel().tolist()
    return differences


def _coded(differences: list[int]) -> bytes:
    bits = []
    for difference in differences:
        category = abs(difference).bit_length()
        bits.append(f"{category:05b}")
        if 0 < category < 16:
            bits.append(f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def example(name: str) -> Path:
    """Return an object that comes with pydicom."""
    return Path(str(get_testdata_file(name, download=False)))


def extended(name: str = "JPGExtended.dcm") -> bytes:
    """Return an example of extended JPEG of 12 bits, with the SOP class of an ultrasound."""
    ds = dcmread(example(name))
    return write(ds, ds.PixelData, EXTENDED, SOPClassUID=US)


def region(left: int, top: int, right: int, bottom: int, *, spatial: int = 1, data: int = 1) -> Dataset:
    """Return an item of the Sequence of Ultrasound Regions; `right` and `bottom` are inclusive, as in the standard."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = spatial, data, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.01
    return item


def with_element(tag: int, element: bytes, pixels: Pixels, syntax: str = EXPLICIT, **changes: Any) -> bytes:
    """Return an object of one frame with the bytes `element` where an element of this tag belongs."""
    ds = describe([pixels])
    ds.add_new(tag, "LO", "TO BE REPLACED")
    if syntax in (IMPLICIT, EXPLICIT, BIG):
        data = write(ds, pixels.tobytes(), syntax, **changes)
    else:
        data = write(ds, encapsulate([jpeg(pixels)]), syntax, **changes)
    order = ">" if syntax == BIG else "<"
    place = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    place += struct.pack("<I", 14) if syntax == IMPLICIT else b"LO" + struct.pack(f"{order}H", 14)
    return data.replace(place + b"TO BE REPLACED", element, 1)
