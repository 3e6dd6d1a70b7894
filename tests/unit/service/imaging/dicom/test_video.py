"""DICOM objects whose pixel data are a video."""

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from service.errors import UnreadableFrame, UploadTooLarge
from service.imaging.decode import open_frames
from service.imaging.dicom.image import open_dicom
from tests.support.dicom_objects import compressed
from tests.support.ffmpeg import FFMPEG, WHY_NOT, encoded_sample
from tests.support.videos import read_number, sample

MPEG_2, MPEG_2_CUT, H_264, HEVC = (f"1.2.840.10008.1.2.4.{end}" for end in ("100", "100.1", "102", "107"))
COLORED = [np.zeros((240, 320, 3), np.uint8)]


def video_object(stream: bytes, syntax: str = MPEG_2, frames: int = 40, fragments: int = 1) -> bytes:
    return compressed(COLORED, syntax, lambda _: stream, "YBR_PARTIAL_420", fragments=fragments, NumberOfFrames=frames)


@pytest.mark.parametrize(("syntax", "fragments"), [(MPEG_2, 1), (MPEG_2_CUT, 5), (H_264, 1), (HEVC, 1)])
def test_the_frames_of_the_stream_are_those_of_the_object(syntax: str, fragments: int) -> None:
    # FFmpeg reads what is there: OpenCV writes no H.264.
    frames = open_frames(video_object(sample("mpeg" if syntax.startswith(MPEG_2) else "mp4"), syntax, 40, fragments))
    assert (frames.format, frames.count) == ("dicom", 40)
    for number in (0, 39, 7, 8):
        frame = frames.read(number)
        assert (read_number(frame.pixels), frame.index, frame.count, frame.format) == (number, number, 40, "dicom")
        assert frame.dicom is not None
        assert frame.seconds is not None


@pytest.mark.parametrize("stated", [1, 39, 4000])
def test_the_stream_knows_how_many_frames_there_are(stated: int) -> None:
    assert open_frames(video_object(sample("mpeg"), frames=stated)).count == 40


def test_a_bare_stream_is_read() -> None:
    stream = sample("mpeg")
    start = stream.index(b"\0\0\1\xb3")
    frames = open_frames(video_object(stream[start : stream.index(b"\0\0\1\xba", start)], frames=2))
    assert read_number(frames.read(0).pixels) == 0


AVC, HEVC_MAIN, HEVC_MAIN_10 = range(102, 107), 107, 108


@pytest.mark.skipif(FFMPEG is None, reason=WHY_NOT)
@pytest.mark.parametrize("container", ["mp4", "mpegts", "bare"])
@pytest.mark.parametrize("number", [*AVC, HEVC_MAIN, HEVC_MAIN_10])
@pytest.mark.parametrize("fragments", [1, 7])
def test_h264_and_hevc_are_read_frame_by_frame(number: int, container: str, fragments: int) -> None:
    codec = "h264" if number in AVC else "hevc"
    ten_bits = number == HEVC_MAIN_10
    stream = encoded_sample(
        codec, codec if container == "bare" else container, pixel_format="yuv420p10le" if ten_bits else "yuv420p"
    )
    syntax = f"1.2.840.10008.1.2.4.{number}" + (".1" if fragments > 1 and number in AVC else "")
    bits = {"BitsAllocated": 16, "BitsStored": 10, "HighBit": 9} if ten_bits else {}
    data = compressed(
        COLORED, syntax, lambda _: stream, "YBR_PARTIAL_420", fragments=fragments, NumberOfFrames=40, FrameTime=50,
        **bits,
    )  # fmt: skip
    frames = open_frames(data)
    assert (frames.format, frames.count) == ("dicom", 40)
    for index in (0, 39, 13, 12, 11, 25):
        frame = frames.read(index)
        assert (read_number(frame.pixels), frame.index, frame.pixels.shape) == (index, index, (240, 320))
        assert frame.seconds == pytest.approx(index / 20, abs=0.002)


def test_refusals() -> None:
    with pytest.raises(UnreadableFrame):
        open_frames(video_object(bytes(4000))).read(0)
    data = video_object(sample("mpeg"))
    with pytest.raises(UnreadableFrame):
        open_frames(data[:-9000])


def test_a_stream_over_the_limit_is_refused() -> None:
    image = open_dicom(video_object(sample("mpeg")), max_bytes=2**20, max_side=9999, max_pixels=10**6)
    assert image.is_video
    with pytest.raises(UploadTooLarge, match="video in the DICOM object"):
        image.stream(5000)


def test_a_report_refers_to_the_frame_by_its_number(client: TestClient) -> None:
    reply = client.post(
        "/classify?frame=29", content=video_object(sample("mpeg")), headers={"Accept": "application/dicom"}
    )
    assert reply.status_code == 200
    report = dcmread(DicomBytesIO(reply.content))
    numbers = [int(each.value) for each in report.iterall() if each.keyword == "ReferencedFrameNumber"]
    assert set(numbers) == {30}
