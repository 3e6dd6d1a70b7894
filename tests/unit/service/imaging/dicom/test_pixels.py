"""Every transfer syntax and photometric interpretation, compared with the pixels that were written."""

import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from service.errors import FrameTooLarge, NoSuchFrame, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import decode_frame
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import CINE, COLOR, COMPRESSED, DEEP, GRAY, LUMA, assert_same, refusal
from tests.support.dicom_objects import compressed, describe, native, write
from tests.support.images import speckle


@pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.BIG, dicoms.DEFLATED])
class TestUncompressed:
    def test_gray(self, syntax: str) -> None:
        assert_same(decode_frame(native([GRAY], syntax)), GRAY)

    def test_an_odd_number_of_bytes_per_frame(self, syntax: str) -> None:
        frames = [speckle(33, 35, seed=seed) for seed in range(3)]
        for index, pixels in enumerate(frames):
            assert_same(decode_frame(native(frames, syntax), index=index), pixels)

    def test_16_bits_without_a_window_span_their_whole_range(self, syntax: str) -> None:
        assert_same(decode_frame(native([DEEP], syntax)), DEEP // 257, 1)

    def test_rgb(self, syntax: str) -> None:
        assert_same(decode_frame(native([COLOR], syntax)), LUMA)

    def test_rgb_plane_by_plane(self, syntax: str) -> None:
        planes = np.ascontiguousarray(COLOR.transpose(2, 0, 1)).reshape(60, 84, 3)
        assert_same(decode_frame(native([planes], syntax, PlanarConfiguration=1)), LUMA)

    def test_without_preamble(self, syntax: str) -> None:
        data = native([GRAY], syntax)
        assert_same(decode_frame(data[128:]), GRAY)
        assert_same(decode_frame(data[132:]), GRAY)

    def test_without_file_meta_information(self, syntax: str) -> None:
        data = native([GRAY], syntax)
        start = 132 + 12 + int.from_bytes(data[140:144], "little")
        if syntax == dicoms.DEFLATED:
            refusal(data[start:], UnsupportedFormat)
        else:
            assert_same(decode_frame(data[start:]), GRAY)


@pytest.mark.parametrize(
    ("syntax", "pixels", "encode", "photometric", "tolerance"),
    [case[1:] for case in COMPRESSED],
    ids=[case[0] for case in COMPRESSED],
)
def test_compressed(
    syntax: str, pixels: np.ndarray[Any, Any], encode: Callable[..., bytes], photometric: str, tolerance: int
) -> None:
    expected = LUMA if pixels.ndim == 3 else pixels if pixels.dtype == np.uint8 else pixels // 257
    assert_same(decode_frame(compressed([pixels], syntax, encode, photometric)), expected, tolerance)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [(dicoms.RLE, dicoms.rle), (dicoms.LOSSLESS, dicoms.lossless_jpeg), (dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless),
     (dicoms.J2K_LOSSLESS, dicoms.jpeg_2000)],
)  # fmt: skip
def test_stored_ybr_becomes_its_luma(syntax: str, encode: Callable[..., bytes]) -> None:
    ybr = np.ascontiguousarray(cv2.cvtColor(COLOR, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]])
    assert_same(decode_frame(compressed([ybr], syntax, encode, "YBR_FULL")), ybr[..., 0])
    assert_same(decode_frame(native([ybr], photometric="YBR_FULL")), ybr[..., 0])


def test_ybr_422_uncompressed() -> None:
    ybr = cv2.cvtColor(COLOR, cv2.COLOR_RGB2YCrCb)
    packed = np.stack([ybr[:, 0::2, 0], ybr[:, 1::2, 0], ybr[:, 0::2, 2], ybr[:, 0::2, 1]], -1).tobytes()
    data = write(describe([COLOR], "YBR_FULL_422"), packed, dicoms.EXPLICIT)
    assert_same(decode_frame(data), ybr[..., 0])


def test_monochrome1_is_inverted() -> None:
    assert_same(decode_frame(native([GRAY], photometric="MONOCHROME1")), 255 - GRAY)


@pytest.mark.parametrize("entry_bits", [8, 16])
def test_palette(entry_bits: int) -> None:
    rng = np.random.default_rng(3)
    lookup = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    scale = 257 if entry_bits == 16 else 1
    changes: dict[str, Any] = {}
    for number, name in enumerate(("Red", "Green", "Blue")):
        changes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        changes[f"{name}PaletteColorLookupTableData"] = (lookup[:, number].astype("<u2") * scale).tobytes()
    expected = cv2.cvtColor(lookup[GRAY], cv2.COLOR_RGB2GRAY)
    assert_same(decode_frame(native([GRAY], photometric="PALETTE COLOR", **changes)), expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.BIG])
def test_a_palette_in_segments(bits: int, syntax: str) -> None:
    """Two discrete entries, a ramp of 127, and the ramp again, by reference."""
    top = 2**bits - 1
    segments = [0, 2, 0, top // 3, 1, 127, top, 2, 1, 4, 0]
    stored = struct.pack(f"<{len(segments)}H", *segments) if bits == 16 else bytes([*segments, 0, 0, 0])
    if syntax == dicoms.BIG:
        stored = np.frombuffer(stored, "<u2").astype(">u2").tobytes()
    changes: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        changes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        changes[f"Segmented{name}PaletteColorLookupTableData"] = stored
    ramp = np.rint(np.linspace(top // 3, top, 128)[1:]).astype(int)
    table = np.array([0, top // 3, *ramp, *[top] * 127]) >> bits - 8
    assert_same(decode_frame(native([GRAY], syntax, photometric="PALETTE COLOR", **changes)), table[GRAY])


@pytest.mark.parametrize("segments", [[2, 9, 0, 0], [0, 1, 5, 2, 65535, 3, 0], [1, 9, 9], [7, 7, 7], [0, 65535, 1], []])
def test_a_palette_whose_segments_lead_nowhere(segments: list[int]) -> None:
    changes: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        changes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        changes[f"Segmented{name}PaletteColorLookupTableData"] = struct.pack(f"<{len(segments)}H", *segments)
    refusal(native([GRAY], photometric="PALETTE COLOR", **changes), UnreadableFrame)


class TestWindow:
    values = np.linspace(0, 4095, 60 * 84).reshape(60, 84).astype(np.uint16)

    def decode(self, **changes: Any) -> np.ndarray[Any, Any]:
        changes = {"BitsStored": 12, "HighBit": 11} | changes
        return decode_frame(native([self.values], **changes)).pixels

    def test_linear(self) -> None:
        shown = ((self.values - (1000 - 0.5)) / (500 - 1) + 0.5) * 255
        expected = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
        assert np.array_equal(self.decode(WindowCenter=1000, WindowWidth=500), expected)

    def test_exact(self) -> None:
        expected = np.rint(np.clip((self.values - 1000.0) / 500 + 0.5, 0, 1) * 255)
        pixels = self.decode(WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
        assert np.array_equal(pixels, expected)

    def test_sigmoid(self) -> None:
        expected = np.rint(255 / (1 + np.exp(-4 * (self.values - 1000.0) / 500)))
        assert np.array_equal(self.decode(WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID"), expected)

    def test_the_first_of_several(self) -> None:
        several = self.decode(WindowCenter=[1000, 5], WindowWidth=[500, 6])
        assert np.array_equal(several, self.decode(WindowCenter=1000, WindowWidth=500))

    def test_after_the_rescale(self) -> None:
        rescaled = self.decode(WindowCenter=1990, WindowWidth=1000, RescaleSlope=2, RescaleIntercept=-10)
        exact = np.rint(np.clip((2.0 * self.values - 10 - 1989.5) / 999 + 0.5, 0, 1) * 255)
        assert np.array_equal(rescaled, exact)

    def test_12_bits_without_a_window(self) -> None:
        assert np.array_equal(self.decode(), np.rint(self.values / 4095 * 255))

    def test_signed(self) -> None:
        signed = (self.values.astype(np.int32) - 2048).astype(np.int16)
        shown = decode_frame(native([signed], WindowCenter=0.5, WindowWidth=4096)).pixels
        assert np.abs(shown.astype(int) - np.rint(self.values / 4095 * 255)).max() <= 1

    def test_8_bits_with_the_whole_window_stay_as_they_are(self) -> None:
        assert_same(decode_frame(native([GRAY], WindowCenter=128, WindowWidth=256)), GRAY)

    def test_a_voi_lut(self) -> None:
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [256, 0, 8], list(range(255, -1, -1))
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        assert_same(decode_frame(native([GRAY], VOILUTSequence=Sequence([item]))), 255 - GRAY)


class TestCines:
    @pytest.mark.parametrize("options", [{}, {"offsets": False}, {"fragments": 2}, {"fragments": 2, "offsets": False}])
    def test_each_frame_by_its_index(self, options: dict[str, Any]) -> None:
        data = compressed(CINE, dicoms.LOSSLESS, dicoms.lossless_jpeg, "MONOCHROME2", **options)
        for index, pixels in enumerate(CINE):
            frame = decode_frame(data, index=index)
            assert_same(frame, pixels)
            assert (frame.index, frame.count) == (index, len(CINE))

    def test_an_index_past_the_end(self) -> None:
        assert "5" in refusal(native(CINE), NoSuchFrame, index=5)

    def test_the_other_frames_are_not_decoded(self) -> None:
        parts = iter(range(len(CINE)))
        data = compressed(
            CINE, dicoms.BASELINE, lambda frame: dicoms.jpeg(frame) if next(parts) == 3 else b"nothing!", "MONOCHROME2"
        )
        assert_same(decode_frame(data, index=3), CINE[3], 3)
        refusal(data, UnreadableFrame, index=2)

    @pytest.mark.parametrize("encode", [dicoms.jpeg, None])
    def test_a_wrong_number_of_frames(self, encode: Callable[..., bytes] | None) -> None:
        lies: dict[str, Any] = {"NumberOfFrames": 50}
        data = native(CINE, **lies) if not encode else compressed(CINE, dicoms.BASELINE, encode, "MONOCHROME2", **lies)
        refusal(data, UnreadableFrame)

    def test_a_cine_of_too_many_pixels(self) -> None:
        assert "frames" in refusal(native(CINE, NumberOfFrames=2**31 - 1), FrameTooLarge)
