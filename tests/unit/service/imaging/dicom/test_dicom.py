"""DICOM in: every transfer syntax and photometric interpretation against the pixels that went in."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from service.errors import FrameTooLarge, NoSuchFrame, Problem, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import decode_frame
from service.imaging.frame import Frame, Limits
from tests.support import dicom_objects as dicoms
from tests.support.dicom_objects import compressed, describe, native, write
from tests.support.images import speckle

GRAY = speckle(60, 84, seed=1)
COLOR = np.dstack([GRAY, 255 - GRAY, np.roll(GRAY, 9, 1)])
LUMA = cv2.cvtColor(COLOR, cv2.COLOR_RGB2GRAY)
CINE = [speckle(40, 50, seed=seed) for seed in range(5)]
DEEP = speckle(60, 84, seed=2).astype(np.uint16) * 257


def assert_same(frame: Frame, expected: np.ndarray[Any, Any], tolerance: int = 0) -> None:
    assert frame.format == "dicom"
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected.astype(int)).max() <= tolerance


def refusal(data: bytes, kind: type[Problem], limits: Limits | None = None, index: int = 0) -> str:
    with pytest.raises(Problem) as caught:
        decode_frame(data, index=index, limits=limits or Limits())
    assert type(caught.value) is kind
    return caught.value.detail


@pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.BIG, dicoms.DEFLATED])
class TestUncompressed:
    def test_gray(self, syntax: str) -> None:
        assert_same(decode_frame(native([GRAY], syntax)), GRAY)

    def test_an_odd_number_of_bytes_a_frame(self, syntax: str) -> None:
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


COMPRESSED: list[tuple[str, str, np.ndarray[Any, Any], Callable[..., bytes], str, int]] = [
    ("rle", dicoms.RLE, GRAY, dicoms.rle, "MONOCHROME2", 0),
    ("rle 16", dicoms.RLE, DEEP, dicoms.rle, "MONOCHROME2", 1),
    ("rle rgb", dicoms.RLE, COLOR, dicoms.rle, "RGB", 0),
    ("jpeg", dicoms.BASELINE, GRAY, dicoms.jpeg, "MONOCHROME2", 3),
    ("jpeg ybr", dicoms.BASELINE, COLOR, dicoms.jpeg, "YBR_FULL", 4),
    ("jpeg ybr 422", dicoms.BASELINE, COLOR, dicoms.jpeg, "YBR_FULL_422", 4),
    ("jpeg rgb said", dicoms.BASELINE, COLOR, dicoms.jpeg, "RGB", 4),
    ("jpeg rgb unsaid", dicoms.BASELINE, COLOR, dicoms.jpeg_as_rgb, "RGB", 4),
    ("extended", dicoms.EXTENDED, GRAY, dicoms.jpeg, "MONOCHROME2", 3),
    ("lossless", dicoms.LOSSLESS, GRAY, dicoms.lossless_jpeg, "MONOCHROME2", 0),
    ("lossless first", dicoms.LOSSLESS_FIRST, GRAY, dicoms.lossless_jpeg, "MONOCHROME2", 0),
    ("lossless rgb", dicoms.LOSSLESS_FIRST, COLOR, dicoms.lossless_jpeg, "RGB", 0),
    ("jpeg-ls", dicoms.LS_LOSSLESS, GRAY, dicoms.jpeg_ls_lossless, "MONOCHROME2", 0),
    ("jpeg-ls 16", dicoms.LS_LOSSLESS, DEEP, dicoms.jpeg_ls_lossless, "MONOCHROME2", 1),
    ("jpeg-ls rgb", dicoms.LS_NEAR, COLOR, dicoms.jpeg_ls_lossless, "RGB", 0),
    ("jpeg 2000", dicoms.J2K_LOSSLESS, GRAY, dicoms.jpeg_2000, "MONOCHROME2", 0),
    ("jpeg 2000 16", dicoms.J2K_LOSSLESS, DEEP, dicoms.jpeg_2000, "MONOCHROME2", 1),
    ("jpeg 2000 rgb", dicoms.J2K_LOSSLESS, COLOR, dicoms.jpeg_2000, "RGB", 0),
    ("rct", dicoms.J2K_LOSSLESS, COLOR, lambda frame: dicoms.jpeg_2000(frame, mct=1), "YBR_RCT", 0),
    ("ict", dicoms.J2K, COLOR, lambda frame: dicoms.jpeg_2000(frame, mct=1, irreversible=True), "YBR_ICT", 3),
]


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
def test_ybr_stored_as_it_is_gives_its_luma(syntax: str, encode: Callable[..., bytes]) -> None:
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

    def test_one_that_the_standard_forbids(self) -> None:
        refusal(native([GRAY], WindowCenter=1, WindowWidth=0), UnreadableFrame)


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
    def test_a_count_that_lies(self, encode: Callable[..., bytes] | None) -> None:
        lies: dict[str, Any] = {"NumberOfFrames": 50}
        data = native(CINE, **lies) if not encode else compressed(CINE, dicoms.BASELINE, encode, "MONOCHROME2", **lies)
        refusal(data, UnreadableFrame)

    def test_a_cine_of_too_many_pixels(self) -> None:
        assert "frames" in refusal(native(CINE, NumberOfFrames=2**31 - 1), FrameTooLarge)


class TestKinds:
    def test_a_secondary_capture_of_an_ultrasound(self) -> None:
        assert_same(decode_frame(native([GRAY], SOPClassUID=dicoms.SECONDARY)), GRAY)

    def test_a_secondary_capture_of_something_else(self) -> None:
        assert "Modality" in refusal(native([GRAY], SOPClassUID=dicoms.SECONDARY, Modality="CT"), UnsupportedFormat)

    @pytest.mark.parametrize(
        ("uid", "name"),
        [("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"), ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
         ("1.2.840.10008.5.1.4.1.1.88.33", "Comprehensive SR"), ("9.9.9.1234567", "not known")],
    )  # fmt: skip
    def test_another_sop_class(self, uid: str, name: str) -> None:
        detail = refusal(native([GRAY], SOPClassUID=uid), UnsupportedFormat)
        assert name in detail
        assert "1234567" not in detail

    def test_no_sop_class(self) -> None:
        data = native([GRAY])
        refusal(data.replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x17\x00UI"), UnsupportedFormat)

    @pytest.mark.parametrize(
        ("uid", "word"), [("1.2.840.10008.1.2.4.102", "video"), ("1.2.840.10008.1.2.4.201", "High-Throughput"),
                          ("1.2.840.10008.1.2.4.94", "JPIP"), ("9.9.9.1234567", "not known")],
    )  # fmt: skip
    def test_another_transfer_syntax(self, uid: str, word: str) -> None:
        data = compressed([GRAY], dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2")
        at = data.index(b"1.2.840.10008.1.2.4.50")
        length = len(uid) + len(uid) % 2
        changed = data[: at - 2] + length.to_bytes(2, "little") + uid.encode().ljust(length, b"\0") + data[at + 22 :]
        assert word in refusal(changed, UnsupportedFormat)

    @pytest.mark.parametrize("photometric", ["HSV", "CMYK", "YBR_PARTIAL_420", "", "ARGB"])
    def test_another_photometric_interpretation(self, photometric: str) -> None:
        refusal(native([GRAY], PhotometricInterpretation=photometric), UnsupportedFormat)

    @pytest.mark.parametrize("bits", [1, 32])
    def test_other_widths(self, bits: int) -> None:
        changes: dict[str, Any] = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "pixels_vr": "OB"}
        assert f"{bits} bits" in refusal(native([GRAY], **changes), UnsupportedFormat)

    def test_no_pixels(self) -> None:
        refusal(write(describe([GRAY]), None, dicoms.EXPLICIT), UnreadableFrame)


class TestContradictions:
    @pytest.mark.parametrize(
        "changes",
        [{"Rows": 0}, {"Columns": 0}, {"NumberOfFrames": 0}, {"NumberOfFrames": -3}, {"Rows": None},
         {"BitsStored": 9}, {"BitsStored": 0}, {"HighBit": 9}, {"SamplesPerPixel": 3}, {"SamplesPerPixel": 4},
         {"Rows": 61}],
    )  # fmt: skip
    def test_in_the_header(self, changes: dict[str, Any]) -> None:
        refusal(native([GRAY], **changes), UnreadableFrame)

    @pytest.mark.parametrize(("syntax", "encode"), [(case[1], case[3]) for case in COMPRESSED if case[2] is GRAY])
    @pytest.mark.parametrize("changes", [{"Rows": 61}, {"Columns": 4000}])
    def test_between_header_and_codestream(
        self, syntax: str, encode: Callable[..., bytes], changes: dict[str, Any]
    ) -> None:
        refusal(compressed([GRAY], syntax, encode, "MONOCHROME2", **changes), UnreadableFrame)

    @pytest.mark.parametrize("said", [case[1] for case in COMPRESSED] + [dicoms.EXPLICIT])
    @pytest.mark.parametrize("written", [dicoms.jpeg, dicoms.rle, dicoms.jpeg_2000, None])
    def test_a_wrong_transfer_syntax(self, said: str, written: Callable[..., bytes] | None) -> None:
        true = compressed([GRAY], dicoms.BASELINE, written, "MONOCHROME2") if written else native([GRAY])
        before = dicoms.BASELINE if written else dicoms.EXPLICIT
        at = true.index(before.encode())
        end = at + len(before) + len(before) % 2
        uid = said.encode() + b"\0" * (len(said) % 2)
        lying = true[: at - 2] + len(uid).to_bytes(2, "little") + uid + true[end:]
        readable = {dicoms.jpeg: {dicoms.BASELINE, dicoms.EXTENDED, dicoms.LOSSLESS, dicoms.LOSSLESS_FIRST},
                    dicoms.rle: {dicoms.RLE}, dicoms.jpeg_2000: {dicoms.J2K, dicoms.J2K_LOSSLESS},
                    None: {dicoms.EXPLICIT}}[written]  # fmt: skip
        if said in readable:
            assert_same(decode_frame(lying), GRAY, 3)
        else:
            refusal(lying, UnreadableFrame)

    @pytest.mark.parametrize("share", [0.99, 0.7, 0.3, 0.1])
    @pytest.mark.parametrize("make", [native, lambda f: compressed(f, dicoms.RLE, dicoms.rle, "MONOCHROME2")])
    def test_cut_short(self, make: Callable[..., bytes], share: float) -> None:
        data = make([GRAY])
        with pytest.raises((UnreadableFrame, UnsupportedFormat)):
            decode_frame(data[: int(len(data) * share)])


class TestBombs:
    def test_many_pixels_are_refused_before_they_are_decoded(self) -> None:
        assert "16000 x 16000" in refusal(native([GRAY], Rows=16000, Columns=16000), FrameTooLarge)
        refusal(native([GRAY], Rows=65535), FrameTooLarge)

    def test_a_deflate_bomb(self) -> None:
        data = native([np.zeros((2000, 2000), np.uint8)], dicoms.DEFLATED)
        assert len(data) < 20_000
        assert "inflates" in refusal(data, FrameTooLarge, Limits(max_bytes=2**20))
        assert decode_frame(data).pixels.shape == (2000, 2000)

    def test_damaged_deflate(self) -> None:
        data = bytearray(native([GRAY], dicoms.DEFLATED))
        data[400:600] = b"\xff" * 200
        refusal(bytes(data), UnreadableFrame)

    def test_millions_of_elements(self) -> None:
        meta = native([GRAY])
        body = b"".join(bytes([0x09, 0, number % 256, number // 256]) + b"LO\0\0" for number in range(60_000))
        assert "elements" in refusal(meta[: 132 + 12 + meta[140]] + body, UnreadableFrame)

    def test_sequences_nested_without_end(self) -> None:
        meta = native([GRAY])
        meta = meta[: 132 + 12 + meta[140]]
        opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        assert "deeper" in refusal(meta + opened * 5000, UnreadableFrame)

    def test_empty_items_instead_of_frames(self) -> None:
        data = compressed([GRAY], dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2")
        end = data.rindex(b"\xfe\xff\xdd\xe0")
        flood = data[:end] + b"\xfe\xff\x00\xe0\0\0\0\0" * 300_000 + data[end:]
        assert "fragments" in refusal(flood, UnreadableFrame)


class TestRegions:
    frame = np.full((300, 400), 90, np.uint8)

    def crop(self, *regions: Dataset, **changes: Any) -> tuple[int, int, int, int] | None:
        return decode_frame(native([self.frame], SequenceOfUltrasoundRegions=Sequence(regions), **changes)).region

    def test_a_tissue_region(self) -> None:
        assert self.crop(dicoms.region(10, 20, 309, 219)) == (10, 20, 310, 220)

    def test_none(self) -> None:
        assert decode_frame(native([self.frame])).region is None
        assert self.crop() is None

    def test_outside_the_frame_is_cut_off(self) -> None:
        assert self.crop(dicoms.region(50, 60, 5000, 2**31)) == (50, 60, 400, 300)

    @pytest.mark.parametrize("box", [(200, 20, 100, 220), (10, 20, 12, 219), (500, 400, 900, 800), (0, 0, 35, 35)])
    def test_nonsense_is_not_believed(self, box: tuple[int, int, int, int]) -> None:
        assert self.crop(dicoms.region(*box)) is None

    @pytest.mark.parametrize(("spatial", "data"), [(2, 1), (3, 4), (1, 2), (1, 0), (0, 0)])
    def test_other_than_tissue_in_two_dimensions(self, spatial: int, data: int) -> None:
        assert self.crop(dicoms.region(10, 20, 309, 219, spatial=spatial, data=data)) is None

    def test_the_largest(self) -> None:
        small, large = dicoms.region(0, 0, 99, 99), dicoms.region(150, 0, 399, 299)
        assert self.crop(small, large, dicoms.region(0, 0, 399, 299, spatial=3)) == (150, 0, 400, 300)

    def test_an_incomplete_item(self) -> None:
        broken = dicoms.region(0, 0, 399, 299)
        del broken.RegionLocationMaxX1
        assert self.crop(broken, dicoms.region(150, 0, 399, 299)) == (150, 0, 400, 300)


def test_without_the_extra_dicom_is_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(native([GRAY]))
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", GRAY)[1].tobytes())
    program = """
import sys
from pathlib import Path
for name in ("pydicom", "highdicom", "jpeg_ls", "dicomweb_client"):
    sys.modules[name] = None
import service.cli
from service.errors import UnsupportedFormat
from service.imaging.decode import decode_frame
folder = Path(sys.argv[1])
assert decode_frame((folder / "a.png").read_bytes()).format == "png"
try:
    decode_frame((folder / "a.dcm").read_bytes())
except UnsupportedFormat as problem:
    print(problem.detail)
"""
    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert "extra `dicom`" in run.stdout
