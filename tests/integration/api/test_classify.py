from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom.sequence import Sequence

from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle, with_orientation
from tests.support.phantom_package import Phantom

KINDS = [("PNG", {}), ("JPEG", {"quality": 95}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]


def expected(phantom: Phantom, pixels: np.ndarray[Any, Any]) -> dict[str, float]:
    prepared, _ = crop_and_letterbox(pixels, Preprocessing(size=phantom.size, crop="none"))
    return dict(zip(phantom.planes, phantom.probabilities(prepared).tolist(), strict=True))


def assert_right(answer: dict[str, Any], truth: dict[str, float], tolerance: float = 1e-5) -> None:
    best = sorted(truth, key=lambda plane: -truth[plane])[:2]
    assert [each["plane"] for each in answer["predictions"]] == best
    for each in answer["predictions"]:
        assert each["probability"] == pytest.approx(truth[each["plane"]], abs=tolerance)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("way", ["multipart", "raw"])
def test_the_answer_is_the_model_s(
    client: TestClient, phantom: Phantom, kind: str, options: dict[str, Any], way: str
) -> None:
    pixels = speckle(90, 64, seed=3)
    data = encode(pixels, kind, **options)
    reply = client.post("/classify", **({"files": {"file": data}} if way == "multipart" else {"content": data}))
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert_right(answer, expected(phantom, pixels), 1e-5 if kind not in ("JPEG", "WEBP") else 0.05)
    assert answer["frame"] == {
        "format": kind.lower(), "width": 64, "height": 90, "index": 0, "count": 1, "crop": [0, 0, 64, 90],
        "crop_source": "none",
        "seconds": None,
    }  # fmt: skip
    assert answer["abstain"] is False
    assert answer["abstain_reason"] is None
    assert answer["predictions"][0]["label"] == answer["predictions"][0]["plane"].replace("_", " ").capitalize()
    assert reply.headers["cache-control"] == "no-store"


def test_the_shape_is_the_contract_s(client: TestClient, phantom_folder: Any) -> None:
    answer = client.post("/classify", content=encode(speckle())).json()
    assert list(answer) == [
        *("predictions", "abstain", "abstain_reason", "sub_plane", "sub_plane_reason", "prediction_set"),
        *("frame", "model", "request_id"),
    ]
    assert set(answer["predictions"][0]) == {"plane", "label", "probability"}
    assert set(answer["model"]) == {"name", "version", "sha256", "precision"}


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "text/plain", "application/json", "nonsense", "multipart/mixed"]
)
def test_the_content_type_of_a_raw_body_does_not_matter(client: TestClient, content_type: str) -> None:
    reply = client.post("/classify", content=encode(speckle()), headers={"content-type": content_type})
    assert reply.json()["frame"]["format"] == "png"


def test_a_name_that_lies_does_not_matter(client: TestClient) -> None:
    reply = client.post("/classify", files={"file": ("frame.dcm", encode(speckle()), "application/dicom")})
    assert reply.json()["frame"]["format"] == "png"


def test_a_form_field_without_a_file_name_will_do(client: TestClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + encode(speckle()) + b"\r\n--x--\r\n"
    reply = client.post("/classify", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert reply.status_code == 200


def test_frame_picks_a_frame(client: TestClient, phantom: Phantom) -> None:
    frames = [speckle(seed=seed) for seed in range(3)]
    data = animation("TIFF", frames)
    for index, pixels in enumerate(frames):
        answer = client.post(f"/classify?frame={index}", content=data).json()
        assert_right(answer, expected(phantom, pixels))
        assert (answer["frame"]["index"], answer["frame"]["count"]) == (index, 3)


def test_width_and_height_are_of_the_upright_frame(client: TestClient) -> None:
    answer = client.post("/classify", content=with_orientation("JPEG", speckle(60, 80), 6)).json()
    assert (answer["frame"]["width"], answer["frame"]["height"]) == (60, 80)


def test_the_sector_is_cropped_where_the_model_asks_for_it(serve: Callable[..., TestClient]) -> None:
    pixels = np.zeros((300, 400), np.uint8)
    pixels[50:250, 100:300] = 40 + speckle(200, 200) // 2
    answer = serve(Phantom(crop="sector")).post("/classify", content=encode(pixels)).json()
    assert answer["frame"]["crop_source"] == "sector"
    left, top, right, bottom = answer["frame"]["crop"]
    assert abs(left - 100) < 15
    assert abs(top - 50) < 15
    assert abs(right - 300) < 15
    assert abs(bottom - 250) < 15


@pytest.mark.parametrize("planes", [("dark", "bright"), tuple(f"plane_{n}" for n in range(17))])
def test_any_number_of_planes(serve: Callable[..., TestClient], planes: tuple[str, ...]) -> None:
    phantom = Phantom(planes=planes)
    client = serve(phantom)
    pixels = speckle()
    assert_right(client.post("/classify", content=encode(pixels)).json(), expected(phantom, pixels))
    reply = client.post("/explain", params={"target": planes[-1]}, content=encode(pixels))
    assert reply.json()["explanation"]["target"] == planes[-1]


class TestAbstention:
    def ask(self, serve: Callable[..., TestClient], phantom: Phantom) -> tuple[bool, str | None]:
        answer = serve(phantom).post("/classify", content=encode(speckle())).json()
        return answer["abstain"], answer["abstain_reason"]

    def test_uncertain(self, serve: Callable[..., TestClient]) -> None:
        assert self.ask(serve, Phantom(min_probability=1.0)) == (True, "uncertain")

    def test_out_of_distribution(self, serve: Callable[..., TestClient]) -> None:
        assert self.ask(serve, Phantom(max_ood_score=0.0)) == (True, "out-of-distribution")

    def test_color_flow(self, serve: Callable[..., TestClient]) -> None:
        pixels = np.dstack([speckle()] * 3)
        pixels[:, :20] = (200, 60, 40)
        answer = serve(Phantom(max_ood_score=0.0)).post("/classify", content=encode(pixels)).json()
        assert (answer["abstain"], answer["abstain_reason"]) == (True, "color-flow")

    def test_out_of_distribution_takes_precedence(self, serve: Callable[..., TestClient]) -> None:
        assert self.ask(serve, Phantom(min_probability=1.0, max_ood_score=0.0)) == (True, "out-of-distribution")

    def test_neither(self, serve: Callable[..., TestClient]) -> None:
        assert self.ask(serve, Phantom(min_probability=0.0, max_ood_score=1.0)) == (False, None)


class TestDicom:
    pixels = np.full((300, 400), 60, np.uint8)

    def ask(self, client: TestClient, **changes: Any) -> Any:
        answer = client.post("/classify", content=dicoms.native([self.pixels], **changes)).json()
        return answer["frame"]

    def test_the_region_is_the_crop(self, serve: Callable[..., TestClient]) -> None:
        regions = Sequence([dicoms.region(10, 20, 309, 219)])
        frame = self.ask(serve(Phantom(crop="sector")), SequenceOfUltrasoundRegions=regions)
        assert frame == {
            "format": "dicom", "width": 400, "height": 300, "index": 0, "count": 1, "crop": [10, 20, 310, 220],
            "crop_source": "region",
            "seconds": None,
        }  # fmt: skip

    def test_a_zoom_cuts_into_the_region_and_the_region_stays_its_source(
        self, serve: Callable[..., TestClient]
    ) -> None:
        regions = Sequence([dicoms.region(10, 20, 309, 219)])
        zooming = serve(Phantom(crop="sector", zoom=1.25))
        frame = self.ask(zooming, SequenceOfUltrasoundRegions=regions)
        assert (frame["crop"], frame["crop_source"]) == ([40, 20, 280, 220], "region")
        assert self.ask(zooming)["crop_source"] == "none"

    def test_without_a_region_the_sector_is_looked_for(self, serve: Callable[..., TestClient]) -> None:
        pixels = np.zeros((300, 400), np.uint8)
        pixels[50:250, 100:300] = 40 + speckle(200, 200) // 2
        reply = serve(Phantom(crop="sector")).post("/classify", content=dicoms.native([pixels]))
        assert reply.json()["frame"]["crop_source"] == "sector"

    def test_a_model_of_whole_frames_sees_the_whole(self, client: TestClient) -> None:
        frame = self.ask(client, SequenceOfUltrasoundRegions=Sequence([dicoms.region(0, 0, 399, 299)]))
        assert (frame["crop"], frame["crop_source"]) == ([0, 0, 400, 300], "none")

    def test_frame_picks_a_frame_of_a_cine(self, client: TestClient, phantom: Phantom) -> None:
        frames = [speckle(seed=seed) for seed in range(3)]
        data = dicoms.compressed(frames, dicoms.RLE, dicoms.rle, "MONOCHROME2")
        for index, pixels in enumerate(frames):
            answer = client.post(f"/classify?frame={index}", content=data).json()
            assert_right(answer, expected(phantom, pixels))
            assert (answer["frame"]["index"], answer["frame"]["count"]) == (index, 3)


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("classify", "`frame`, `set`, `top`, `patient_salt`, `identifiers`"),
        ("explain", "`frame`, `set`, `top`, `target`, `overlay`"),
        ("exam", "`every`, `limit`, `fps`, `protocol`, `chosen`, `corrected`, `unread`"),
    ],
)
def test_the_refusal_of_an_unknown_parameter_names_the_known_ones(client: TestClient, path: str, known: str) -> None:
    problem = client.post(f"/{path}?topk=3", content=b"x").json()
    assert problem["code"] == "bad-parameter"
    assert problem["detail"] == f"Parameter `topk` is unknown; this path takes {known}."


@pytest.mark.parametrize(("path", "defaults"), [("/classify", "top=2&frame=0"), ("/explain", "top=2&overlay=true")])
@pytest.mark.parametrize("accept", [None, "image/png", "application/dicom"])
def test_a_request_without_parameters_is_one_with_all_defaults(
    client: TestClient, path: str, defaults: str, accept: str | None
) -> None:
    headers = {"X-Request-ID": "same"} | ({} if accept is None else {"Accept": accept})
    replies = [
        client.post(f"{path}{query}", content=encode(speckle()), headers=headers) for query in ("", f"?{defaults}")
    ]
    assert replies[0].content == replies[1].content
    assert (replies[0].status_code, replies[0].headers) == (replies[1].status_code, replies[1].headers)
