"""The frame itself as a picture, and answers that name more planes than two."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from tests.support.images import animation, colored, encode, speckle, with_orientation
from tests.support.phantom_package import Phantom


def read(content: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_the_frame_comes_back_gray_and_whole(client: TestClient, kind: str) -> None:
    pixels = speckle(50, 70, seed=4)
    reply = client.post("/frame", content=encode(pixels, kind), headers={"accept": "image/png"})
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["cache-control"] == "no-store"
    np.testing.assert_array_equal(read(reply.content), pixels)


def test_jpeg_is_what_one_gets_unasked(client: TestClient) -> None:
    pixels = speckle(50, 70, seed=4)
    reply = client.post("/frame", files={"file": encode(pixels)})
    assert reply.headers["content-type"] == "image/jpeg"
    assert np.abs(read(reply.content).astype(int) - pixels).mean() < 3


def test_it_is_upright_and_gray(client: TestClient) -> None:
    reply = client.post("/frame", content=with_orientation("JPEG", colored(speckle(60, 80)), 6))
    assert read(reply.content).shape == (80, 60)


def test_frame_picks_a_frame(client: TestClient) -> None:
    frames = [speckle(seed=seed) for seed in range(3)]
    data = animation("TIFF", frames)
    for index, pixels in enumerate(frames):
        reply = client.post(f"/frame?frame={index}", content=data, headers={"accept": "image/png"})
        np.testing.assert_array_equal(read(reply.content), pixels)
    assert client.post("/frame?frame=3", content=data).json()["code"] == "no-such-frame"


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_run_of_frames_comes_as_one_picture(client: TestClient, kind: str) -> None:
    frames = [speckle(40, 50, seed) for seed in range(5)]
    data = animation(kind, frames)
    for query, shown in (("frame=1&count=3", frames[1:4]), ("frame=3&count=16", frames[3:]), ("frame=2", frames[2:3])):
        reply = client.post(f"/frame?{query}", content=data, headers={"accept": "image/png"})
        np.testing.assert_array_equal(read(reply.content), np.concatenate(shown))
        assert reply.headers["x-frames"] == str(len(shown))
    assert client.post("/frame?count=17", content=data).json()["code"] == "bad-parameter"
    assert client.post("/frame?frame=5&count=2", content=data).json()["code"] == "no-such-frame"


def test_a_run_ends_before_another_size_and_at_the_limit_on_pixels(serve: Callable[..., TestClient]) -> None:
    pages = [Image.fromarray(speckle(*size)) for size in ((40, 50), (40, 50), (60, 50), (40, 50))]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    client = serve(Phantom(), max_frame_pixels=40 * 50 * 5)
    assert client.post("/frame?count=16", content=file.getvalue()).headers["x-frames"] == "2"
    loop = animation("TIFF", [speckle(40, 50, seed) for seed in range(9)])
    assert client.post("/frame?count=16", content=loop).headers["x-frames"] == "5"


def test_what_is_no_picture_is_refused(client: TestClient) -> None:
    assert client.post("/frame", content=b"hello").json()["code"] == "unsupported-format"
    assert client.post("/frame?top=3", content=encode(speckle())).json()["code"] == "bad-parameter"


@pytest.mark.parametrize("route", ["/classify", "/explain"])
@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (5, 5), (7, 7), (1000, 7)])
def test_top_names_as_many_planes_as_asked(serve: Callable[..., TestClient], route: str, top: int, count: int) -> None:
    phantom = Phantom(planes=tuple(f"plane_{number}" for number in range(7)))
    answer = serve(phantom).post(f"{route}?top={top}", content=encode(speckle())).json()
    probabilities = [each["probability"] for each in answer["predictions"]]
    assert len({each["plane"] for each in answer["predictions"]}) == count
    assert probabilities == sorted(probabilities, reverse=True)
    if count == 7:
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("top", ["0", "-1", "1001", "all", ""])
def test_top_is_a_count(client: TestClient, top: str) -> None:
    reply = client.post(f"/classify?top={top}", content=encode(speckle()))
    assert (reply.status_code, reply.json()["code"]) == (400, "bad-parameter")
