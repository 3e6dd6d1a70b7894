"""Cuts out of an upload what the store may keep of it."""

import hashlib

from service.analysis.pipeline import Pipeline
from service.errors import NoSector, OtherFile
from service.imaging.letterbox import Crop
from service.imaging.sector import find_sector, full_box
from service.jobs.crops.sector_mask import sector_png


def encode_sector(pipeline: Pipeline, upload: bytes, digest: str, index: int) -> bytes:
    """Return the sector of a frame as PNG, black around it, whatever part of it the model sees.

    Raises `OtherFile` where the upload has another SHA-256, `NoSector`, and what `decode_frame` raises.
    """
    if hashlib.sha256(upload).hexdigest() != digest:
        raise OtherFile(OtherFile.meaning)
    frame = pipeline.read(upload, index=index)
    box = find_sector(frame.pixels) if frame.region is None else frame.region
    png = sector_png(frame.pixels, Crop(box, "none" if box == full_box(frame.pixels) else "sector"))
    if png is None:
        raise NoSector(NoSector.meaning)
    return png
