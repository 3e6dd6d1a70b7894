"""Decode an upload into upright gray frames, or refuse it with the reason.

The rules for every kind of file:

- **size**: read from the header and checked before a pixel is decoded. For an animation, every frame up to the
  requested one counts, because all of them must be decoded to reach it.
- **color**: becomes ITU-R 601 luma (0.299 R + 0.587 G + 0.114 B), without color management; CMYK goes through RGB. A
  small copy keeps the colors for `color.flow_share`.
- **16 bits** per pixel: scaled linearly from the full range of the type (0 to 65535; 12-bit TIFF 0 to 4095) to 0..255,
  never from the extremes of the frame: the same tissue would look different from frame to frame. 32-bit and floating
  pixels have no defined range and are refused.
- **alpha**, also of a palette or a transparent color: composited over black, the background of scanners.
- **EXIF orientation**: applied, so that the frame is upright.
- **animated or multi-page** PNG, WebP, GIF and TIFF: `index` selects the frame, from 0, as a viewer shows it.
- **video**: `index` selects the frame in the order in which a player shows them; rotation and the aspect ratio of its
  pixels are applied, and of an interlaced frame the first field is kept.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from service.errors import UnsupportedFormat
from service.imaging.avif import open_avif
from service.imaging.dicom.scan import Data
from service.imaging.files.formats import detect_format
from service.imaging.frame import DEFAULT_LIMITS, MAX_SIDE, Frame, Frames, Limits, parser_errors_as_problems
from service.imaging.raster import open_raster
from service.imaging.video.reader import is_bare, open_video
from service.schemas.answers import VIDEO_FORMATS

if TYPE_CHECKING:
    from service.imaging.dicom.image import DicomImage


def open_frames(data: Data, limits: Limits = DEFAULT_LIMITS) -> Frames[Frame]:
    """Open a picture, a video or a DICOM file; of a picture or a DICOM file, no pixel is decoded.

    Parameters
    ----------
    data
        The whole file. A DICOM file or a video may be a memory map; only the parts that are needed are read.
    limits
        The sizes beyond which the file is refused.

    Raises
    ------
    EmptyUpload
        `data` is empty.
    UnsupportedFormat
        The format is not supported.
    UploadTooLarge, FrameTooLarge
        The file is over the limits in bytes; in pixels, length of a side or pages.
    UnreadableFrame
        The file is damaged.
    """
    limits.check_bytes(len(data))
    format_ = detect_format(data)
    with parser_errors_as_problems(format_):
        if format_ in VIDEO_FORMATS:
            return open_video(data, format_, limits)
        if format_ == "avif":
            return open_avif(bytes(data), limits)
        return _open_dicom(data, limits) if format_ == "dicom" else open_raster(bytes(data), format_, limits)


def decode_frame(data: Data, *, index: int = 0, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """Decode frame `index` of a file; raises what `open_frames` and `Frames.read` raise."""
    return open_frames(data, limits).read(index)


def _open_dicom(data: Data, limits: Limits) -> Frames[Frame]:
    try:  # here, because the service decodes in other processes and need not spend 0.2 s and 20 MiB on pydicom
        from service.imaging.dicom.image import open_dicom
    except ImportError as error:
        raise UnsupportedFormat(
            "This service cannot read DICOM: it was installed without the extra `dicom`."
        ) from error
    image = open_dicom(data, max_bytes=limits.max_bytes, max_side=MAX_SIDE, max_pixels=limits.max_pixels)

    if image.is_video:
        return _open_dicom_video(image, limits)

    times = image.times(image.count)

    def read(index: int) -> Frame:
        pixels, colors = image.frame(index)
        seconds = None if times is None else times[index] / 1000
        return Frame(pixels, "dicom", index, image.count, image.region, colors, image.attributes, seconds)

    return Frames("dicom", image.count, True, image.header.rows * image.header.columns, read, times=times)


def _open_dicom_video(image: "DicomImage", limits: Limits) -> Frames[Frame]:
    """Open the video in a DICOM object; its frames count as those of the object, in the order of a player."""
    stream = image.stream(limits.max_bytes)
    video = open_video(stream, "dicom", limits)
    size = image.header.rows, image.header.columns
    times = (image.times(video.count) if is_bare(stream) else None) or video.times

    def read(index: int) -> Frame:
        frame = video.read(index)
        region = image.region if frame.pixels.shape == size else None  # it is stated in stored pixels
        seconds = None if times is None else times[index] / 1000
        return replace(frame, region=region, dicom=image.attributes, seconds=seconds)

    return replace(video, _read=read, times=times)
