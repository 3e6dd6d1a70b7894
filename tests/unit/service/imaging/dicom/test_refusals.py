"""DICOM objects that are refused (other kinds, contradictions, bombs), and the tissue region of valid ones."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from service.errors import FrameTooLarge, UnreadableFrame, UnsupportedFormat
from service.imaging.decode import decode_frame
from service.imaging.frame import Limits
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import COMPRESSED, GRAY, assert_same, refusal
from tests.support.dicom_objects import compressed, describe, native, write


class TestKinds:
    def test_a_secondary_capture_of_an_ultrasound(self) -> None:
        assert_same(decode_frame(native([GRAY], SOPClassUID=dicoms.SECONDARY)), GRAY)

    def test_a_secondary_capture_of_something_else(self) -> None:
        assert "Modality" in refusal(native([GRAY], SOPClassUID=dicoms.SECONDARY, Modality="CT"), UnsupportedFormat)

    @pytest.mark.parametrize(
        ("uid", "name"),
        [("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"), ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
         ("1.2.840.10008.5.1.4.1.1.88.33", "Comprehensive SR"), ("9.9.9.1234567", "unknown")],
    )  # fmt: skip
    def test_another_sop_class(self, uid: str, name: str) -> None:
        detail = refusal(native([GRAY], SOPClassUID=uid), UnsupportedFormat)
        assert name in detail
        assert "1234567" not in detail

    def test_no_sop_class(self) -> None:
        data = native([GRAY]).replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x17\x00UI")
        assert_same(decode_frame(data), GRAY)  # the file meta information names it as well
        refusal(data.replace(b"\x02\x00\x02\x00UI", b"\x02\x00\x04\x00UI"), UnsupportedFormat)

    @pytest.mark.parametrize(
        ("uid", "word"), [("1.2.840.10008.1.2.4.112", "JPEG XL"), ("1.2.840.10008.1.2.4.201", "High-Throughput"),
                          ("1.2.840.10008.1.2.4.94", "JPIP"), ("9.9.9.1234567", "unknown")],
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
        [{"Rows": 0}, {"Columns": 0}, {"NumberOfFrames": 2}, {"Rows": None},
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

    @pytest.mark.parametrize("syntax", [case[1] for case in COMPRESSED] + [dicoms.EXPLICIT])
    @pytest.mark.parametrize("written", [dicoms.jpeg, dicoms.rle, dicoms.jpeg_2000, None])
    def test_a_wrong_transfer_syntax(self, syntax: str, written: Callable[..., bytes] | None) -> None:
        true = compressed([GRAY], dicoms.BASELINE, written, "MONOCHROME2") if written else native([GRAY])
        before = dicoms.BASELINE if written else dicoms.EXPLICIT
        at = true.index(before.encode())
        end = at + len(before) + len(before) % 2
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        lying = true[: at - 2] + len(uid).to_bytes(2, "little") + uid + true[end:]
        readable = {dicoms.jpeg: {dicoms.BASELINE, dicoms.EXTENDED, dicoms.LOSSLESS, dicoms.LOSSLESS_FIRST},
                    dicoms.rle: {dicoms.RLE}, dicoms.jpeg_2000: {dicoms.J2K, dicoms.J2K_LOSSLESS},
                    None: {dicoms.EXPLICIT}}[written]  # fmt: skip
        if syntax in readable:
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
        head = meta[: 132 + 12 + meta[140]]
        assert "no pixel data" in refusal(head + body, UnreadableFrame)
        assert_same(decode_frame(head + body + meta[len(head) :]), GRAY)

    def test_sequences_nested_without_end(self) -> None:
        meta = native([GRAY])
        head = meta[: 132 + 12 + meta[140]]
        opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        assert "no pixel data" in refusal(head + opened * 5000, UnreadableFrame)
        assert_same(decode_frame(head + opened * 5000 + meta[len(head) :]), GRAY)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "unit",
        [b"\x08\0", b"\x08\0\x16\0UI", b"\x08\0\x16\0UI\2\0ab", b"\x09\0\x10\0??\2\0ab", b"\0", b"\xff",
         b"\x10\0\x10\0LO\0\0", b"\xfe\xff\0\xe0\0\0\0\0", b"\xe0\x7f\x10\0OW\0\0\2\0\0\0ab"],
    )  # fmt: skip
    def test_megabytes_of_anything(self, unit: bytes) -> None:
        meta = native([GRAY])
        head = meta[: 132 + 12 + meta[140]] + b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
        started = process_time()
        with pytest.raises((UnreadableFrame, UnsupportedFormat)):
            decode_frame(head + unit * (2**22 // len(unit)))
        assert process_time() - started < 2

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
    def test_an_implausible_region_is_ignored(self, box: tuple[int, int, int, int]) -> None:
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
