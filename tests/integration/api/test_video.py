"""Videos through the API: everywhere a cine is read, with the times of its frames; a hostile one costs its own line."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fetal_planes_client import BatchEnd, Client
from tests.support.dicom_objects import native
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still
from tests.support.videos import CODECS, LOSSLESS, numbered, read_number, retimed, sample, write_video


def ask(client: TestClient, *files: bytes, query: str = "") -> list[dict[str, Any]]:
    form = [("files", (f"{number}", each)) for number, each in enumerate(files)]
    return [json.loads(line) for line in client.post(f"/classify/batch{query}", files=form).text.splitlines()]


LOOP = ["fetal_femur"] * 6 + ["maternal_cervix"] * 6
FPS = 20


@pytest.fixture(scope="module")
def cine(phantom: Phantom) -> bytes:
    """A video of two shots of known planes, with twelve frames."""
    return write_video([still(phantom, plane, LOOP.index(plane)) for plane in LOOP], "avi", FPS, LOSSLESS)


def test_a_batch_finds_the_shots_with_their_times(client: TestClient, cine: bytes) -> None:
    *lines, end = ask(client, cine)
    assert [line["frame"]["seconds"] for line in lines] == [number / FPS for number in range(12)]
    assert {line["frame"]["format"] for line in lines} == {"avi"}
    (summary,) = end["summary"]["cines"]
    assert summary["cuts"] == [6]
    spans = [(each["start"], each["end"], each["plane"]) for each in summary["segments"]]
    assert spans == [(0, 5, "fetal_femur"), (6, 11, "maternal_cervix")]
    times = [(each["start_seconds"], each["end_seconds"]) for each in summary["segments"]]
    assert times == [(0, 0.25), (0.3, 0.55)]
    for best in summary["best"]:
        assert best["seconds"] == best["frame"] / FPS


@pytest.mark.parametrize("kind", CODECS)
def test_every_kind_is_a_loop(client: TestClient, kind: str) -> None:
    *lines, end = ask(client, sample(kind), query="?every=8")
    assert [line["frame"]["index"] for line in lines] == [0, 8, 16, 24, 32]
    assert end["summary"]["cines"][0]["count"] == 40


def test_frames_are_chosen_by_time(client: TestClient) -> None:
    def chosen(query: str, *files: bytes) -> list[int]:
        return [line["frame"]["index"] for line in ask(client, *files, query=query)[:-1]]

    assert chosen("?fps=5", sample("mp4")) == list(range(0, 40, 4))
    assert chosen("?fps=5&limit=3", sample("mp4")) == [0, 4, 8]
    varied = retimed(write_video(numbered(8), "mp4", 20), [1, 1, 20, 1, 1, 30, 1, 1])
    assert chosen("?fps=1", varied) == [0, 3, 6]
    still_files = [encode(frame) for frame in numbered(2)]
    assert chosen("?fps=1", *still_files) == [0, 0]
    assert client.post("/classify/batch?fps=1&every=2", content=sample("mp4")).status_code == 400


def test_a_dicom_loop_has_times_like_a_video(client: TestClient) -> None:
    vector: dict[str, Any] = {"FrameTimeVector": [0, 50, 50, 1000, 50, 1500], "FrameIncrementPointer": 0x0018_1065}
    loop = native([speckle(seed=seed) for seed in range(6)], **vector)
    times = [0, 0.05, 0.1, 1.1, 1.15, 2.65]
    *lines, end = ask(client, loop)
    assert [line["frame"]["seconds"] for line in lines] == times
    for segment in end["summary"]["cines"][0]["segments"]:
        assert segment["start_seconds"] == times[segment["start"]]
        assert segment["end_seconds"] == times[segment["end"]]
    assert [line["frame"]["index"] for line in ask(client, loop, query="?fps=1")[:-1]] == [0, 3, 5]
    assert [line["frame"]["seconds"] for line in ask(client, loop, query="?every=2")[:-1]] == [0, 0.1, 1.15]
    assert client.post("/classify?frame=5", content=loop).json()["frame"]["seconds"] == 2.65


def test_every_nth_frame_of_a_varying_rate_has_its_own_time(client: TestClient) -> None:
    durations = [1, 5, 2, 1, 1, 9, 1, 1, 3]
    varied = retimed(write_video(numbered(9), "mp4", 20), durations)
    *lines, end = ask(client, varied, query="?every=3")
    assert [(line["frame"]["index"], line["frame"]["seconds"]) for line in lines] == [(0, 0), (3, 0.4), (6, 0.95)]
    segments = end["summary"]["cines"][0]["segments"]
    assert (segments[0]["start_seconds"], segments[-1]["end_seconds"]) == (0, 0.95)


def test_one_frame_is_classified_explained_and_shown(client: TestClient) -> None:
    data = sample("mp4")
    answer = client.post("/classify?frame=29", content=data).json()
    assert (answer["frame"]["index"], answer["frame"]["count"], answer["frame"]["seconds"]) == (29, 40, 1.45)
    assert client.post("/explain?frame=29&overlay=false", content=data).json()["frame"]["seconds"] == 1.45
    picture = client.post("/frame?frame=29&count=3", content=data, headers={"Accept": "image/png"})
    assert picture.headers["x-frames"] == "3"
    shown = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert [read_number(np.ascontiguousarray(part)) for part in np.split(shown, 3)] == [29, 30, 31]
    problem = client.post("/classify?frame=40", content=data).json()
    assert problem["detail"] == "`frame` must be between 0 and 39; this file has 40 frames."


def test_an_exam_names_the_time_of_a_frame(client: TestClient, cine: bytes) -> None:
    report = client.post("/exam", content=cine).json()
    found = {plane["plane"]: plane["best"] for plane in report["planes"] if plane["best"]}
    assert set(found) == {"fetal_femur", "maternal_cervix"}
    assert all(best["seconds"] == best["source"]["frame"] / FPS for best in found.values())
    page = client.post("/exam", content=cine, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.text.count("<img") >= 2


def test_a_damaged_video_costs_its_own_line(client: TestClient, cine: bytes) -> None:
    cut = cine[: len(cine) * 2 // 3]
    hostile = sample("mp4")[:60] + b"\xff" * 5000
    lines = ask(client, encode(numbered(1)[0]), hostile, cut, cine)
    of_file: dict[int, list[dict[str, Any]]] = {number: [] for number in range(4)}
    for line in lines[:-1]:
        of_file[line["source"]["file"]].append(line)
    assert "predictions" in of_file[0][0]
    assert [line.get("code") for line in of_file[1]] == ["unreadable-frame"]
    assert all("predictions" in line for line in of_file[2][:-1])
    assert len(of_file[2]) < 12
    assert len(of_file[3]) == 12
    assert lines[-1]["summary"]["files"] == 4


def test_the_client_chooses_frames_by_time(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "cine.mov"
    path.write_bytes(sample("mov"))
    with Client("http://testserver", transport=client._transport) as asked:
        *lines, end = asked.classify_batch([path], fps=2)
        assert isinstance(end, BatchEnd)
        assert [line.frame.seconds for line in lines] == [0, 0.5, 1, 1.5]  # type: ignore[union-attr]
        report = asked.exam([path], fps=2)
    assert json.loads(report.model_dump_json())["frames"] == 4
