"""The shipped model names the planes of the drawn examples, with a margin."""

import io
from collections.abc import Iterator

import cv2
import numpy as np
import pydicom
import pytest

from service.analysis.pipeline import Pipeline
from service.cli.local import open_pipeline
from service.sample.examples import EXAMPLES, Example, encode_example
from service.settings import Settings

STILLS = [example for example in EXAMPLES.values() if len(example.shots) == 1]
MOST_OFTEN_ASKED = {"fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax", "maternal_cervix"}


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline(Settings()) as pipeline:
        yield pipeline


def test_every_plane_has_a_still() -> None:
    assert {plane for example in STILLS for plane in example.planes} == MOST_OFTEN_ASKED
    assert {example.media_type for example in EXAMPLES.values()} == {"image/png", "application/dicom"}


@pytest.mark.parametrize("example", STILLS, ids=lambda example: example.name)
def test_the_model_names_the_plane(pipeline: Pipeline, example: Example) -> None:
    result = pipeline.classify(encode_example(example))
    if not example.planes:
        assert result.abstain_reason == "out-of-distribution"
        return
    assert result.abstain_reason is None
    assert (result.ranked[0].plane,) == example.planes
    assert result.ranked[0].probability > 0.95


def test_the_model_names_both_planes_of_every_frame_of_the_loop(pipeline: Pipeline) -> None:
    content = encode_example(EXAMPLES["loop.dcm"])
    count = pipeline.classify(content).frame.count
    results = [pipeline.classify(content, index=index) for index in range(count)]
    assert {result.abstain_reason for result in results} == {None}
    half = count // 2
    assert [result.ranked[0].plane for result in results] == ["fetal_brain"] * half + ["fetal_femur"] * half


@pytest.mark.parametrize("example", [each for each in STILLS if each.name.endswith(".png")], ids=lambda each: each.name)
@pytest.mark.parametrize("quality", [60, 85])
def test_the_margin_survives_a_smaller_jpeg(pipeline: Pipeline, example: Example, quality: int) -> None:
    frame = cv2.imdecode(np.frombuffer(encode_example(example), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    smaller = cv2.resize(frame, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    content = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    result = pipeline.classify(content)
    assert (result.abstain_reason is None) == bool(example.planes)
    assert not example.planes or result.ranked[0].plane == example.planes[0]


@pytest.mark.parametrize("name", ["brain.png", "still.dcm"])
def test_the_same_files_every_time(name: str) -> None:
    assert encode_example.__wrapped__(EXAMPLES[name]) == encode_example(EXAMPLES[name])


@pytest.mark.parametrize("name", ["still.dcm", "loop.dcm"])
def test_a_dicom_object_says_that_it_is_drawn(name: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(encode_example(EXAMPLES[name])))
    assert "no patient" in str(dataset.PatientName).lower()
    assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID
    assert dataset.pixel_array.shape[:-2] == ((16,) if name == "loop.dcm" else ())
