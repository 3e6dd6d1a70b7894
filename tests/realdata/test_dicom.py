"""Real DICOM objects of several makers; skipped where they are not installed. None shows a fetus."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from service.errors import UnsupportedFormat
from service.imaging.decode import open_frames
from service.imaging.dicom.image import open_dicom
from tests.support.paths import DATA

OBJECTS = DATA / "dicom"

pytestmark = pytest.mark.skipif(not OBJECTS.is_dir(), reason="the DICOM objects are not next to the repository")

READ = {  # name -> frames, columns, rows
    "acuson_sequoia_thyroid_ybrfull_rle.dcm": (1, 640, 480),
    "aloka_ssd4000_palette16.dcm": (1, 640, 480),
    "esaote_6100_elbow_ybr422_raw.dcm": (1, 800, 555),
    "ge_logiq700_planar_bigendian.dcm": (1, 640, 480),
    "ge_logiq700_us1_j2k_lossless.dcm": (1, 640, 480),
    "philips_iu22_jpegls_1frame.dcm": (1, 1024, 768),  # with stray items between its elements
    "us_pal8_echo_10frames_jpegls.dcm": (10, 600, 430),
    "us_pal8_echo_10frames_rle.dcm": (10, 600, 430),
}
LOSSLESS = ("ct_16bit_jpeg_lossless_sv1.dcm", "mr_16bit_jpeg_lossless_sv1.dcm")


@pytest.mark.parametrize("name", READ)
def test_ultrasound_is_read(name: str) -> None:
    count, columns, rows = READ[name]
    frames = open_frames((OBJECTS / name).read_bytes())
    assert frames.count == count
    for index in {0, count - 1}:
        frame = frames.read(index)
        assert frame.pixels.shape == (rows, columns)
        assert 5 < frame.pixels.mean() < 60  # tissue on black
        assert frame.pixels.max() > 180
        assert frame.dicom is not None


def test_the_same_loop_in_two_compressions_is_the_same() -> None:
    one, other = (
        open_frames((OBJECTS / f"us_pal8_echo_10frames_{kind}.dcm").read_bytes()) for kind in ("rle", "jpegls")
    )
    for index in range(10):
        assert np.array_equal(one.read(index).pixels, other.read(index).pixels)


@pytest.mark.parametrize("name", LOSSLESS)
def test_ct_and_mr_are_refused_as_no_ultrasound(name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=r"(CT|MR) Image Storage"):
        open_frames((OBJECTS / name).read_bytes())


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_lossless_decoder_agrees_with_dcmtk(name: str, tmp_path: Path) -> None:
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("dcmdjpeg is not installed")
    subprocess.run(["dcmdjpeg", OBJECTS / name, tmp_path / "plain.dcm"], check=True, capture_output=True)
    plain = pydicom.dcmread(tmp_path / "plain.dcm")
    expected = np.frombuffer(plain.PixelData, "<u2").reshape(plain.Rows, plain.Columns)
    data = (OBJECTS / name).read_bytes()
    # The same object as ultrasound.
    length = len(plain.SOPClassUID) + len(plain.SOPClassUID) % 2
    claimed = data.replace(
        plain.SOPClassUID.encode().ljust(length, b"\0"), b"1.2.840.10008.5.1.4.1.1.6".ljust(length, b"\0")
    )
    image = open_dicom(claimed, max_bytes=2**24, max_side=2**14, max_pixels=2**24)
    assert np.array_equal(image.samples(0), expected)


def test_jpeg_xl_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormat, match=r"JPEG XL.*[Cc]onvert"):
        open_frames((OBJECTS / "ge_vivid_e95_27frames_jpegxl.dcm").read_bytes())
