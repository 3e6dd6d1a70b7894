"""JPEG of other depths than 8 bits in DICOM: lossless is exact, extended agrees with another decoder."""

import shutil
import subprocess
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pydicom
import pytest

from service.errors import FrameTooLarge, Problem, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import decode_frame
from service.imaging.dicom.image import open_dicom
from service.imaging.dicom.jpeg import lossless
from service.imaging.frame import Limits
from tests.support import dicom_objects as dicoms
from tests.support.dicom_objects import compressed, native
from tests.support.images import speckle

Pixels = np.ndarray[Any, np.dtype[np.uint16]]
PREDICTORS = range(1, 8)
SLOWEST_S = 2.0


def tissue(bits: int, height: int = 41, width: int = 53) -> Pixels:
    """Return speckle with noise in its lower bits."""
    smooth, below = speckle(height, width, seed=bits).astype(np.uint16), np.uint16(max(0, bits - 8))
    noise = np.random.default_rng(bits).integers(0, 1 << below, smooth.shape).astype(np.uint16)
    return smooth << below | noise if bits >= 8 else smooth >> np.uint16(8 - bits)


def noise(bits: int, height: int = 41, width: int = 53) -> Pixels:
    """Return samples without correlation: their differences have every size, including the largest."""
    rng = np.random.default_rng(bits)
    extremes = rng.integers(0, 2, (height, width)).astype(np.uint16) * np.uint16((1 << bits) - 1)
    return np.where(rng.random((height, width)) < 0.5, extremes, rng.integers(0, 1 << bits, (height, width))).astype(
        np.uint16
    )


def stored(data: bytes) -> np.ndarray[Any, Any]:
    """Return the stored values of the first frame, before any window."""
    return open_dicom(data, max_bytes=2**24, max_side=2**14, max_pixels=2**24).samples(0)


def lossless_object(pixels: Pixels, bits: int, **options: Any) -> bytes:
    return compressed(
        [pixels], dicoms.LOSSLESS, lambda f: dicoms.lossless_jpeg(f, bits, **options), "MONOCHROME2", bits=bits
    )


def refusal(data: bytes, kind: type[Problem]) -> str:
    with pytest.raises(Problem) as caught:
        decode_frame(data, limits=Limits())
    assert type(caught.value) is kind
    return caught.value.detail


class TestLossless:
    @pytest.mark.parametrize("bits", range(2, 17))
    @pytest.mark.parametrize("picture", [tissue, noise])
    def test_every_depth(self, bits: int, picture: Any) -> None:
        pixels = picture(bits)
        assert np.array_equal(stored(lossless_object(pixels, bits)), pixels)

    @pytest.mark.parametrize("predictor", PREDICTORS)
    @pytest.mark.parametrize("shape", [(41, 53), (1, 40), (40, 1), (1, 1)])
    def test_every_predictor(self, predictor: int, shape: tuple[int, int]) -> None:
        pixels = noise(16, *shape)
        assert np.array_equal(stored(lossless_object(pixels, 16, predictor=predictor)), pixels)

    @pytest.mark.parametrize("predictor", PREDICTORS)
    @pytest.mark.parametrize("restart_rows", [1, 4, 41, 60])
    def test_restart_intervals(self, predictor: int, restart_rows: int) -> None:
        pixels = tissue(12)
        data = lossless_object(pixels, 12, predictor=predictor, restart_rows=restart_rows)
        assert np.array_equal(stored(data), pixels)

    @pytest.mark.parametrize("bits", [7, 8])
    def test_in_pixels_of_8_and_of_16_bits(self, bits: int) -> None:
        pixels = tissue(bits)
        assert np.array_equal(stored(lossless_object(pixels, bits)), pixels)
        assert np.array_equal(stored(lossless_object(pixels.astype(np.uint8), bits)), pixels)

    def test_more_than_one_chunk(self) -> None:
        pixels = noise(16, 300, 400)
        assert len(dicoms.lossless_jpeg(pixels, 16)) > 3 * lossless._CHUNK
        assert np.array_equal(stored(lossless_object(pixels, 16)), pixels)

    def test_signed_values_are_shown_as_those_of_an_uncompressed_object(self) -> None:
        signed = (tissue(12).astype(np.int32) - 2048 & 0xFFF).astype(np.uint16)
        attributes: dict[str, Any] = {
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": 1,
            "WindowCenter": 90,
            "WindowWidth": 2500,
        }
        data = compressed([signed], dicoms.LOSSLESS, lambda f: dicoms.lossless_jpeg(f, 12), "MONOCHROME2", **attributes)
        assert np.array_equal(decode_frame(data).pixels, decode_frame(native([signed], **attributes)).pixels)

    def test_the_requested_frame(self) -> None:
        cine = [tissue(16), noise(16), tissue(16)[::-1]]
        data = compressed(cine, dicoms.LOSSLESS_FIRST, lambda f: dicoms.lossless_jpeg(f, 16), "MONOCHROME2")
        for index, pixels in enumerate(cine):
            assert np.array_equal(decode_frame(data, index=index).pixels, np.rint(pixels / 65535 * 255))


@pytest.mark.skipif(not shutil.which("dcmcjpeg"), reason="dcmtk is not installed")
class TestBesideDcmtk:
    def encoded(self, folder: Path, pixels: Pixels, bits: int, *options: str) -> bytes:
        (folder / "in.dcm").write_bytes(native([pixels], BitsStored=bits, HighBit=bits - 1))
        subprocess.run(["dcmcjpeg", *options, "in.dcm", "out.dcm"], cwd=folder, check=True, capture_output=True)
        return (folder / "out.dcm").read_bytes()

    @pytest.mark.parametrize("bits", [10, 12, 16])
    @pytest.mark.parametrize("picture", [tissue, noise])
    @pytest.mark.parametrize("predictor", PREDICTORS)
    def test_lossless(self, bits: int, picture: Any, predictor: int, tmp_path: Path) -> None:
        pixels = picture(bits)
        data = self.encoded(tmp_path, pixels, bits, "+el", "+sv", str(predictor))
        assert dicoms.LOSSLESS.encode() in data
        assert np.array_equal(stored(data), pixels)

    @pytest.mark.parametrize("bits", [10, 12, 16])
    def test_lossless_of_the_first_order(self, bits: int, tmp_path: Path) -> None:
        pixels = tissue(bits)
        data = self.encoded(tmp_path, pixels, bits, "+e1")
        assert dicoms.LOSSLESS_FIRST.encode() in data
        assert np.array_equal(stored(data), pixels)

    def test_12_bits_must_be_12_in_the_header(self, tmp_path: Path) -> None:
        pixels = noise(12)
        data = self.encoded(tmp_path, pixels, 12, "+el", "+pl", "+bt")
        assert b"\xff\xc3\x00\x0b\x0c" in data
        assert np.array_equal(stored(data), pixels)

    @pytest.mark.parametrize("predictor", PREDICTORS)
    def test_a_point_transform(self, predictor: int, tmp_path: Path) -> None:
        pixels = tissue(16)
        data = self.encoded(tmp_path, pixels, 16, "+el", "+sv", str(predictor), "+pt", "5")
        assert np.array_equal(stored(data), pixels >> 5 << 5)

    @pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
    def test_extended_of_12_bits(self, name: str, tmp_path: Path) -> None:
        path = dicoms.example(name)
        subprocess.run(["dcmdjpeg", path, "out.dcm"], cwd=tmp_path, check=True, capture_output=True)
        expected = pydicom.dcmread(tmp_path / "out.dcm").pixel_array
        assert np.abs(stored(dicoms.extended(name)).astype(int) - expected).max() <= 1


class TestRefused:
    pixels = tissue(12)

    def changed(self, change: Any, **options: Any) -> bytes:
        def encode(frame: Pixels) -> bytes:
            changed: bytes = change(dicoms.lossless_jpeg(frame, 12, **options))
            return changed

        return compressed([self.pixels], dicoms.LOSSLESS, encode, "MONOCHROME2", bits=12)

    @pytest.mark.parametrize("left", [5, 40, 100, 900, 2000])
    def test_cut_short(self, left: int) -> None:
        refusal(self.changed(lambda data: data[:left]), UnreadableFrame)

    @pytest.mark.parametrize("predictor", [0, 8, 255])
    def test_no_such_predictor(self, predictor: int) -> None:
        header = b"\xff\xda\x00\x08\x01\x01\x00"
        refusal(self.changed(lambda data: data.replace(header + b"\x01", header + bytes([predictor]))), UnreadableFrame)

    def test_a_table_that_is_missing(self) -> None:
        refusal(self.changed(lambda data: data.replace(b"\x01\x01\x00\x01\x00\x00", b"\x01\x01\x10\x01\x00\x00")),
                UnreadableFrame)  # fmt: skip

    @pytest.mark.parametrize("counts", [bytes([3, *[0] * 15]), bytes([0, 0, 0, 0, 33, *[0] * 11]), bytes(16)])
    def test_an_invalid_table(self, counts: bytes) -> None:
        good = bytes([0, 0, 0, 0, 17, *[0] * 11])
        refusal(self.changed(lambda data: data.replace(good, counts)), UnreadableFrame)

    def test_an_interval_lost(self) -> None:
        refusal(
            self.changed(lambda d: d[: d.index(b"\xff\xd1")] + d[d.index(b"\xff\xd2") :], restart_rows=4),
            UnreadableFrame,
        )

    def test_intervals_of_half_rows(self) -> None:
        interval = (4 * 53).to_bytes(2, "big")
        refusal(
            self.changed(lambda d: d.replace(b"\xff\xdd\0\4" + interval, b"\xff\xdd\0\4\0\x14"), restart_rows=4),
            UnreadableFrame,
        )

    def test_more_bits_than_the_header_has(self) -> None:
        eight = tissue(8).astype(np.uint8)
        data = compressed([eight], dicoms.LOSSLESS, lambda f: dicoms.lossless_jpeg(f, 12), "MONOCHROME2")
        assert "more bits" in refusal(data, UnreadableFrame)

    def test_progressive_of_12_bits(self) -> None:
        assert "12 bits" in refusal(self.changed(lambda d: d.replace(b"\xff\xc3", b"\xff\xc2")), UnsupportedFormat)

    def test_more_pixels_than_are_decoded_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lossless, "MAX_PIXELS", self.pixels.size - 1)
        assert "limit" in refusal(self.changed(bytes), FrameTooLarge)

    @pytest.mark.parametrize("flood", [b"\xff\xd0", b"\xff", b"\xff\x00"])
    def test_a_flood_of_markers(self, flood: bytes) -> None:
        data = self.changed(lambda d: d[: d.index(b"\xff\xda") + 10] + flood * 2_000_000)
        started = thread_time()
        refusal(data, UnreadableFrame)
        assert thread_time() - started < SLOWEST_S

    def test_a_flood_of_segments(self) -> None:
        assert "segments" in refusal(
            self.changed(lambda d: d[:2] + b"\xff\xe0\0\2" * 1_000_000 + d[2:]), UnreadableFrame
        )
