"""What does not decode the pixels never costs the answer: odd elements, sequences, encodings and numbers of frames."""

import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from service.errors import UnreadableFrame
from service.imaging.decode import decode_frame
from service.imaging.dicom.dataset.elements import LONG, SHORT, VRS
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import CINE, GRAY, assert_same, refusal
from tests.support.dicom_objects import compressed, describe, native, with_element, write

ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, number) for number in (0xE000, 0xE00D, 0xE0DD))
UNDEFINED = b"\xff\xff\xff\xff"
NONE = bytes(4)

groups = st.sampled_from([0x0009, 0x0011, 0x0019, 0x0021, 0x0029, 0x0051, 0x7FDF])
tags = st.builds(lambda group, number: group << 16 | number, groups, st.integers(0x1000, 0x10FF))
vrs = st.one_of(st.sampled_from(sorted(LONG | SHORT)), st.binary(min_size=2, max_size=2))
values = st.binary(max_size=40).map(lambda value: value + bytes(len(value) % 2))


def head(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return head(tag) + vr + struct.pack("<H", len(value)) + value


def long(tag: int, vr: bytes, value: bytes) -> bytes:
    return head(tag) + vr + struct.pack("<HI", 0, len(value)) + value


def implicit(tag: int, vr: bytes, value: bytes) -> bytes:
    return head(tag) + struct.pack("<I", len(value)) + value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tag=tags, vr=vrs, value=values, form=st.sampled_from([short, long, implicit]))
def test_an_element_of_any_form(tag: int, vr: bytes, value: bytes, form: Callable[..., bytes]) -> None:
    assert_same(decode_frame(with_element(tag, form(tag, vr, value), GRAY)), GRAY)


@settings(max_examples=100, deadline=None)
@given(tag=tags, vr=st.sampled_from([*sorted(VRS), b"??", b"OX"]), value=values, claimed=st.integers(2**16, 2**32 - 1))
def test_an_element_longer_than_the_file(tag: int, vr: bytes, value: bytes, claimed: int) -> None:
    element = head(tag) + vr + struct.pack("<HI", 0, claimed) + value
    assert_same(decode_frame(with_element(tag, element, GRAY)), GRAY)


@pytest.mark.parametrize("vr", [b"OB", b"SQ", b"UN", b"LO"])
@pytest.mark.parametrize("claimed", [7, 33, 201, 1454])
def test_an_element_that_ends_within_another(vr: bytes, claimed: int) -> None:
    for element in (long(0x0009_1001, vr, b""), short(0x0009_1001, vr, b"")):
        wrong = element[:-2] + struct.pack("<H", claimed) if vr == b"LO" else element[:-4] + struct.pack("<I", claimed)
        assert_same(decode_frame(with_element(0x0009_1001, wrong, GRAY)), GRAY)


@settings(max_examples=100, deadline=None)
@given(tag=tags, value=values, vr=st.sampled_from([b"SQ", b"UN", b"OB", b"??"]), content=st.binary(max_size=80))
def test_a_sequence_of_anything(tag: int, value: bytes, vr: bytes, content: bytes) -> None:
    for opened in (b"", ITEM + UNDEFINED, ITEM + struct.pack("<I", len(content))):
        for closed in (b"", ITEM_END + NONE + SEQUENCE_END + NONE):
            element = head(tag) + vr + b"\0\0" + UNDEFINED + opened + content + closed
            assert_same(decode_frame(with_element(tag, element, GRAY)), GRAY)


@pytest.mark.parametrize("item_end", [ITEM_END + NONE, b"", bytes(8)])
@pytest.mark.parametrize("end", [SEQUENCE_END + NONE, b"", bytes(8)])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.BASELINE])
def test_missing_delimiters(item_end: bytes, end: bytes, syntax: str) -> None:
    tag, item = 0x0008_1032, short(0x0008_0100, b"SH", b"1 ") + short(0x0008_0104, b"LO", b"Scan")
    element = head(tag) + b"SQ\0\0" + UNDEFINED + (ITEM + UNDEFINED + item + item_end) * 2 + end
    frame = decode_frame(with_element(tag, element, GRAY, syntax))
    assert_same(frame, GRAY, 3 if syntax == dicoms.BASELINE else 0)
    assert frame.dicom is not None
    assert dicoms.PLANTED["PatientID"].encode() in frame.dicom.encoded


@pytest.mark.parametrize("stray", [ITEM + NONE, ITEM_END + NONE, SEQUENCE_END + NONE, bytes(8), b"\xff" * 10])
def test_stray_items_between_elements(stray: bytes) -> None:
    assert_same(decode_frame(with_element(0x0009_1001, stray, GRAY)), GRAY)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.BASELINE])
def test_an_icon_with_its_own_fragments(syntax: str, stated: bool, closed: bool) -> None:
    icon = short(0x0028_0010, b"US", b"\x08\0") + short(0x0028_0011, b"US", b"\x08\0")
    fragments = encapsulate([cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes()])
    icon += head(0x7FE0_0010) + b"OB\0\0" + UNDEFINED + fragments
    if closed:
        icon += SEQUENCE_END + NONE
    item = ITEM + (struct.pack("<I", len(icon)) + icon if stated else UNDEFINED + icon + (ITEM_END + NONE) * closed)
    sequence = struct.pack("<I", len(item)) + item if stated else UNDEFINED + item + (SEQUENCE_END + NONE) * closed
    data = with_element(0x0088_0200, head(0x0088_0200) + b"SQ\0\0" + sequence, GRAY, syntax)
    assert_same(decode_frame(data), GRAY, 3 if syntax == dicoms.BASELINE else 0)


class TestEncodings:
    @pytest.mark.parametrize("written", [dicoms.IMPLICIT, dicoms.EXPLICIT])
    @pytest.mark.parametrize("named", [dicoms.IMPLICIT, dicoms.EXPLICIT])
    def test_another_than_the_named_one(self, named: str, written: str) -> None:
        meta, body = (native([GRAY], syntax, SpecificCharacterSet="ISO_IR 100") for syntax in (named, written))
        assert_same(decode_frame(meta[: data_set_at(meta)] + body[data_set_at(body) :]), GRAY)

    def test_jpeg_with_implicit_elements(self) -> None:
        meta, body = compressed([GRAY], dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2"), native([GRAY], dicoms.IMPLICIT)
        body = body[data_set_at(body) : body.index(b"\xe0\x7f\x10\0") + 4]
        pixels = meta[meta.index(b"\xe0\x7f\x10\0OB") + 8 :]
        assert_same(decode_frame(meta[: data_set_at(meta)] + body + pixels), GRAY, 3)

    @pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.BIG])
    def test_meta_information_without_vrs(self, syntax: str) -> None:
        data = native([GRAY], syntax)
        named = padded(syntax).replace(b" ", b"\0")
        body = implicit(0x0002_0001, b"", b"\0\1") + implicit(0x0002_0010, b"", named)
        meta = bytes(128) + b"DICM" + implicit(0x0002_0000, b"", struct.pack("<I", len(body))) + body
        assert_same(decode_frame(meta + data[data_set_at(data) :]), GRAY)

    def test_meta_information_with_an_odd_element(self) -> None:
        data = native([GRAY])
        at = data.index(b"\x02\0\x10\0UI")
        assert_same(decode_frame(data[:at] + head(0x0002_0005) + b"??\x04\0abcd" + data[at:]), GRAY)


class TestNumberOfFrames:
    loop = staticmethod(lambda **changes: compressed(CINE, dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2", **changes))

    @pytest.mark.parametrize("claimed", [0, -1, 1, 3, "", None])
    @pytest.mark.parametrize("options", [{}, {"offsets": False}, {"fragments": 2}, {"fragments": 2, "offsets": False}])
    def test_of_a_loop_is_what_is_stored(self, claimed: Any, options: dict[str, Any]) -> None:
        frame = decode_frame(self.loop(NumberOfFrames=claimed, **options), index=4)
        assert_same(frame, CINE[4], 3)
        assert frame.count == 5

    @pytest.mark.parametrize("claimed", [0, 1, 3, None])
    def test_of_others(self, claimed: int | None) -> None:
        for data in (native(CINE, NumberOfFrames=claimed),
                     compressed(CINE, dicoms.RLE, dicoms.rle, "MONOCHROME2", NumberOfFrames=claimed)):  # fmt: skip
            frame = decode_frame(data, index=4)
            assert_same(frame, CINE[4])
            assert frame.count == 5

    @pytest.mark.parametrize("claimed", [0, -1, ""])
    def test_of_a_still_is_one(self, claimed: Any) -> None:
        frame = decode_frame(native([GRAY], NumberOfFrames=claimed))
        assert_same(frame, GRAY)
        assert frame.count == 1

    def test_in_words(self) -> None:
        assert decode_frame(self.loop(NumberOfFrames=7777).replace(b"IS\x04\x007777", b"IS\x04\x00five")).count == 5

    def test_padding_is_no_frame(self) -> None:
        ds = describe([GRAY])
        assert decode_frame(write(ds, GRAY.tobytes() + bytes(400), dicoms.EXPLICIT)).count == 1

    @pytest.mark.parametrize("options", [{}, {"offsets": False}])
    @pytest.mark.parametrize("end", [b"", bytes(8), bytes(3)])
    def test_without_the_closing_mark(self, end: bytes, options: dict[str, Any]) -> None:
        assert_same(decode_frame(self.loop(**options)[:-8] + end, index=4), CINE[4], 3)

    def test_a_last_frame_cut_short_is_refused(self) -> None:
        refusal(self.loop()[:-60], UnreadableFrame, index=4)


class TestValuesThatMakeNoSense:
    @pytest.mark.parametrize("center", ["0", "128", "x", "1e999", "-5000", ""])
    @pytest.mark.parametrize("width", ["0", "-1", "wide", "nan", "inf"])
    def test_windows(self, center: str, width: str) -> None:
        for element in (short(0x0028_1050, b"DS", padded(center)), short(0x0028_1050, b"DS", b"1 ")):
            element += short(0x0028_1051, b"DS", padded(width))
            assert_same(decode_frame(with_element(0x0028_1050, element, GRAY)), GRAY)

    def test_a_decimal_comma(self) -> None:
        element = short(0x0028_1050, b"DS", b"64,5") + short(0x0028_1051, b"DS", b"100,0 ")
        expected = decode_frame(native([GRAY], WindowCenter=64.5, WindowWidth=100)).pixels
        assert not np.array_equal(expected, GRAY)
        assert_same(decode_frame(with_element(0x0028_1050, element, GRAY)), expected)

    @pytest.mark.parametrize("descriptor", [[], [256], [256, 0, 0], [256, 0, 17], [9999, 0, 8], [256, 0, 8]])
    def test_look_up_tables(self, descriptor: list[int]) -> None:
        item = Dataset()
        item.LUTDescriptor, item.LUTData = descriptor or None, b"" if len(descriptor) < 3 else bytes(512)
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
        assert_same(decode_frame(native([GRAY], VOILUTSequence=Sequence([item]))), GRAY)

    def test_a_slope_of_zero(self) -> None:
        assert_same(decode_frame(native([GRAY], RescaleSlope=0, RescaleIntercept=7)), GRAY)

    @pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"])
    def test_two_values_in_a_uid(self, keyword: str) -> None:
        changes: dict[str, Any] = {keyword: [dicoms.US, "1.2.3"]}
        data = native([GRAY], **changes)
        assert_same(decode_frame(data), GRAY)


ROWS = 0x0028_0010


@pytest.mark.parametrize(
    "element",
    [short(ROWS, b"IS", b"60"), short(ROWS, b"UL", struct.pack("<I", 60)), short(ROWS, b"??", b"<\0"),
     long(ROWS, b"UN", b"<\0"), implicit(ROWS, b"", b"<\0"), short(ROWS, b"US", b"<\0\1\0")],
)  # fmt: skip
def test_a_number_under_another_vr(element: bytes) -> None:
    data = native([GRAY])
    assert_same(decode_frame(data.replace(short(ROWS, b"US", b"<\0"), element)), GRAY)


@pytest.mark.parametrize("text", [b"monochrome2 ", b" MONOCHROME2", b"MONOCHROME2\0", b"MONOCHROME2\\RGB "])
def test_a_text_with_padding(text: bytes) -> None:
    data = native([GRAY])
    stated = short(0x0028_0004, b"CS", b"MONOCHROME2 ")
    assert stated in data
    assert_same(decode_frame(data.replace(stated, short(0x0028_0004, b"CS", text))), GRAY)


@pytest.mark.parametrize("stated", [b"", b"\0\0", None])
def test_uids_in_the_file_meta_information_only(stated: bytes | None) -> None:
    data = native([GRAY])
    for number, uid in ((0x16, dicoms.US.encode() + b"\0"), (0x18, b"1.2.3.4.5\0")):
        element = short(0x0008_0000 | number, b"UI", uid)
        assert element in data
        data = data.replace(element, b"" if stated is None else short(0x0008_0000 | number, b"UI", stated))
    frame = decode_frame(data)
    assert_same(frame, GRAY)
    assert frame.dicom is not None
    assert frame.dicom.elements()[0x0008_0018].endswith(b"1.2.3.4.5\0")


@pytest.mark.parametrize("width", [4, 5, 51])
@pytest.mark.parametrize("height", [6, 7])
@pytest.mark.parametrize("by_row", [True, False])
def test_odd_columns_of_shared_colors(width: int, height: int, by_row: bool) -> None:
    """Two pixels share their colors; the last pair is completed in each row, or only at the end of the frame."""
    luma = [np.random.default_rng(seed).integers(16, 235, (height, width)).astype(np.uint8) for seed in range(2)]
    rows = [luma[0].ravel(), luma[1].ravel()] if not by_row else [
        np.pad(each, ((0, 0), (0, width % 2)), "edge").ravel() for each in luma]  # fmt: skip
    stored = b""
    for each in rows:
        pairs = np.pad(each, (0, each.size % 2), "edge").reshape(-1, 2)
        stored += np.hstack([pairs, np.full_like(pairs, 128)]).tobytes()
    ds = describe([np.dstack([each] * 3) for each in luma], "YBR_FULL_422")
    for index, expected in enumerate(luma):
        assert_same(decode_frame(write(ds, stored, dicoms.EXPLICIT), index=index), expected)


def data_set_at(data: bytes) -> int:
    """Return where the data set of a file begins."""
    return 144 + int(struct.unpack_from("<I", data, 140)[0])


def padded(text: str) -> bytes:
    return (text + " " * (len(text) % 2)).encode()
