"""`POST /exam?corrected=`: frames count as a person says, and the answer says what the model had said."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.exam_items import labels
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import PLANES, Phantom
from tests.support.phantom_stills import still
from tests.support.phantom_sub_planes import BEST, NAMES, sub_plane_phantom


@pytest.fixture(scope="module")
def exam(phantom: Phantom) -> dict[str, bytes]:
    loop = [still(phantom, plane, 3) for plane in ["fetal_femur"] * 6 + ["maternal_cervix"] * 6]
    return {
        "a.png": encode(still(phantom, "fetal_thorax", 0)),
        "b.png": encode(still(phantom, "fetal_brain", 1)),
        "loop.png": animation("PNG", loop),
    }


def ask(client: TestClient, files: dict[str, bytes], corrected: str, accept: str = "application/json") -> str:
    reply = client.post(
        "/exam",
        params={"corrected": corrected},
        files=[("files", each) for each in files.items()],
        headers={"Accept": accept},
    )
    assert reply.status_code == 200, reply.text
    return reply.text


def answered(client: TestClient, files: dict[str, bytes], corrected: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ask(client, files, corrected))
    return answer


def frames_of(answer: dict[str, Any], plane: str) -> list[tuple[str, int, str | None]]:
    (group,) = [each for each in answer["planes"] if each["plane"] == plane]
    return [
        (each["source"]["name"], each["source"]["frame"], each["correction"] and each["correction"]["verdict"])
        for each in group["frames"]
    ]


def test_a_corrected_frame_counts_for_its_new_plane(client: TestClient, exam: dict[str, bytes]) -> None:
    before = answered(client, exam, "")
    assert labels(before, "missing") == ["Fetal abdomen"]
    answer = answered(client, exam, "0:0:fetal_abdomen,1:0:fetal_brain")
    assert labels(answer, "missing") == ["Fetal thorax"]
    assert frames_of(answer, "fetal_abdomen") == [("a.png", 0, "supplemented")]
    assert frames_of(answer, "fetal_brain") == [("b.png", 0, "accepted")]
    (frame,) = answer["planes"][PLANES.index("fetal_abdomen")]["frames"]
    said, (model,) = frame["correction"], before["planes"][PLANES.index("fetal_thorax")]["frames"]
    assert (said["plane"], said["label"], said["abstain_reason"]) == ("fetal_thorax", "Fetal thorax", None)
    assert said["probability"] == model["probability"] > frame["probability"]


def test_a_frame_without_a_plane_counts_for_none(client: TestClient, exam: dict[str, bytes]) -> None:
    answer = answered(client, exam, "1:0:")
    assert labels(answer, "missing") == ["Fetal abdomen", "Fetal brain"]
    (frame,) = answer["without_plane"]
    assert (frame["source"]["name"], frame["correction"]["verdict"]) == ("b.png", "rejected")


def test_frames_of_a_loop_are_corrected(client: TestClient, exam: dict[str, bytes]) -> None:
    ((_, best, _),) = frames_of(answered(client, exam, ""), "fetal_femur")
    other = 0 if best else 1
    answer = answered(client, exam, f"2:{best}:,2:{other}:fetal_femur,2:11:fetal_abdomen,7:0:fetal_brain")
    assert frames_of(answer, "fetal_femur") == [("loop.png", other, "accepted")]
    assert frames_of(answer, "fetal_abdomen") == [("loop.png", 11, "supplemented")]
    assert [each["source"]["frame"] for each in answer["without_plane"]] == [best]
    assert labels(answer, "missing") == []


def test_a_person_ends_the_doubt(serve: Callable[..., TestClient]) -> None:
    frame, phantom = speckle(64, 64), Phantom(min_probability=1.0)
    client, guess = serve(phantom), PLANES[int(phantom.probabilities(frame).argmax())]
    before = answered(client, {"a.png": encode(frame)}, "")
    assert [each["reason"] for each in before["review"]] == ["uncertain"]
    answer = answered(client, {"a.png": encode(frame)}, f"0:0:{guess}")
    assert answer["review"] == []
    assert frames_of(answer, guess) == [("a.png", 0, "accepted")]
    (item,) = [each for each in answer["items"] if each["one_of"][0]["plane"] == guess]
    assert (item["state"], len(item["frames"])) == ("fulfilled", 1)


def test_no_plane_confirms_an_answer_that_names_none(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(max_ood_score=0.0))
    answer = answered(client, {"a.png": encode(speckle())}, "0:0:")
    (frame,) = answer["without_plane"]
    assert (frame["correction"]["verdict"], frame["correction"]["plane"]) == ("accepted", None)
    assert frame["correction"]["abstain_reason"] == "out-of-distribution"
    assert answer["review"] == []


def test_sub_planes_are_corrected(serve: Callable[..., TestClient]) -> None:
    client, files = serve(sub_plane_phantom()), {"a.png": encode(speckle(64, 64))}
    own = client.post("/classify", content=files["a.png"]).json()["sub_plane"]["plane"]
    other = next(name for name in NAMES if name != own)
    for text, verdict, given in [(own, "accepted", own), (other, "supplemented", other), ("", "supplemented", None)]:
        answer = answered(client, files, f"0:0:{BEST}:{text}".removesuffix(":"))
        ((_, _, found),) = frames_of(answer, BEST)
        (frame,) = answer["planes"][PLANES.index(BEST)]["frames"]
        assert (found, frame["sub_plane"] and frame["sub_plane"]["plane"]) == (verdict, given)
        assert frame["correction"]["sub_plane"]["plane"] == own


def test_the_page_says_who_said_what(client: TestClient, exam: dict[str, bytes]) -> None:
    page = ask(client, exam, "0:0:fetal_abdomen,1:0:,2:0:fetal_femur", "text/html")
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "Corrected by a person ; the model said: Fetal thorax " in text
    assert "Rejected by a person ; the model said: Fetal brain " in text
    assert "Confirmed by a person " in text
    # Evidence for the plane of the model would not be evidence for that of the person.
    assert page.count("Heat map over the first frame") == 2


@pytest.mark.parametrize(
    "corrected", ["0:0:heart", "0:0:fetal_brain:left", "0:0", "x", "0:0:fetal_brain,", "0:0:A", "0:0::trans_thalamic"]
)
def test_what_the_model_does_not_know_is_refused(client: TestClient, exam: dict[str, bytes], corrected: str) -> None:
    files = [("files", each) for each in exam.items()]
    reply = client.post("/exam", params={"corrected": corrected}, files=files)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad-parameter")
