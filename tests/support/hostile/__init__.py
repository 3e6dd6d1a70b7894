"""Small hostile uploads, made in code: their lengths, sizes or repetitions cost a decoder dearly."""

from tests.support.hostile import bmp, dicom, dicom_frames, jpeg, png, tiff, webp
from tests.support.hostile.make import Makers

HOSTILE: Makers = {
    **png.FILES,
    **jpeg.FILES,
    **tiff.FILES,
    **webp.FILES,
    **bmp.FILES,
    **dicom.FILES,
    **dicom_frames.FILES,
}
"""Functions that make the files, by a name that says what is wrong."""
