"""`POST /exam`: an exam made of stills and loops whose planes are known."""

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.analysis.pipeline import Pipeline
from service.imaging.letterbox import PreparedFrame
from service.reports.html_page import POLICY
from tests.support.exam_items import labels
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still

HTML = {"Accept": "text/html"}


def upload(files: dict[str, bytes]) -> list[tuple[str, Any]]:
    return [("files", each) for each in files.items()]


def ask(client: TestClient, files: dict[str, bytes], query: str = "") -> dict[str, Any]:
    reply = client.post(f"/exam{query}", files=upload(files))
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = reply.json()
    return answer


@pytest.fixture(scope="module")
def exam(phantom: Phantom) -> dict[str, bytes]:
    shown = ["fetal_femur"] * 6 + ["maternal_cervix"] * 6
    return {
        "a.png": encode(still(phantom, "fetal_thorax", 0)),
        "b.png": encode(still(phantom, "fetal_brain", 1)),
        "c.png": encode(still(phantom, "fetal_thorax", 2)),
        "loop.png": animation("PNG", [still(phantom, plane, 3) for plane in shown]),
        "notes.txt": b"text",
    }


def planes_of(answer: dict[str, Any]) -> dict[str, list[tuple[str, int]]]:
    return {
        plane["plane"]: [(frame["source"]["name"], frame["source"]["frame"]) for frame in plane["frames"]]
        for plane in answer["planes"]
    }


def test_frames_are_grouped_by_plane(client: TestClient, phantom: Phantom, exam: dict[str, bytes]) -> None:
    answer = ask(client, exam)
    groups = planes_of(answer)
    assert list(groups) == list(phantom.planes)
    assert {name for name, _ in groups["fetal_thorax"]} == {"a.png", "c.png"}
    assert groups["fetal_brain"] == [("b.png", 0)]
    ((femur, frame),) = groups["fetal_femur"]  # of a loop, the best frame alone
    assert (femur, frame < 6) == ("loop.png", True)
    ((_, frame),) = groups["maternal_cervix"]
    assert frame >= 6
    assert groups["fetal_abdomen"] == groups["other"] == []
    assert (answer["files"], answer["frames"], answer["complete"]) == (5, 15, True)
    assert [cine["name"] for cine in answer["cines"]] == ["loop.png"]


def test_the_best_comes_first(client: TestClient, exam: dict[str, bytes]) -> None:
    for plane in ask(client, exam)["planes"]:
        chances = [frame["probability"] for frame in plane["frames"]]
        assert chances == sorted(chances, reverse=True)
        assert plane["best"] == (plane["frames"][0] if chances else None)


def test_what_is_missing_is_reported(client: TestClient, exam: dict[str, bytes]) -> None:
    answer = ask(client, exam)
    assert answer["protocol"]["id"] == "all-planes"
    assert [item["one_of"][0]["plane"] for item in answer["items"]] == [
        "fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax", "maternal_cervix"
    ]  # fmt: skip
    assert labels(answer, "missing") == ["Fetal abdomen"]
    assert len(labels(answer, "fulfilled")) == 4


def test_refused_files_are_reported(client: TestClient, exam: dict[str, bytes]) -> None:
    (refused,) = ask(client, exam)["refused"]
    assert (refused["code"], refused["source"]["name"]) == ("unsupported-format", "notes.txt")


def test_frames_that_the_model_abstains_on_are_for_a_person(
    serve: Callable[..., TestClient], exam: dict[str, bytes], phantom: Phantom
) -> None:
    client = serve(Phantom(max_ood_score=0.5))
    bright = np.full((64, 64), 250, np.uint8)
    answer = ask(client, exam | {"bright.png": encode(bright), "loop2.png": animation("PNG", [bright, bright - 3] * 3)})
    reported = [(each["reason"], each["source"]["name"], each["source"]["frame"]) for each in answer["review"]]
    assert reported == [("out-of-distribution", "bright.png", 0), ("no-plane", "loop2.png", None)]
    assert "bright.png" not in str(answer["planes"])  # and not among those that were recognized


def test_close_calls_are_for_a_person(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(temperature=1e6))  # all planes equally probable
    answer = ask(client, {"a.png": encode(speckle())})
    (review,) = answer["review"]
    assert (review["reason"], review["source"]["name"]) == ("close", "a.png")
    assert review["runner_up"]["probability"] == pytest.approx(1 / 6, abs=0.01)
    assert sum(len(plane["frames"]) for plane in answer["planes"]) == 1
    (doubtful,) = [item for item in answer["items"] if item["state"] == "doubtful"]  # not fulfilled by it alone
    assert [each["doubt"] for each in doubtful["doubtful"]] == ["close"]


def test_every_and_limit(client: TestClient, exam: dict[str, bytes]) -> None:
    assert ask(client, exam, "?every=4&limit=2")["cines"][0]["frames"] == 2


class Page(HTMLParser):
    """What a browser would make of the page, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[Image.Image]:
        sources = [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]
        starts = "data:image/jpeg;base64,"
        assert all(source.startswith(starts) for source in sources)
        return [Image.open(io.BytesIO(base64.b64decode(source.removeprefix(starts)))) for source in sources]


def page_of(client: TestClient, files: dict[str, bytes], query: str = "") -> Page:
    reply = client.post(f"/exam{query}", files=upload(files), headers=HTML)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "Accept"
    return Page(reply.text)


def test_the_page_stands_alone(client: TestClient, exam: dict[str, bytes]) -> None:
    page = page_of(client, exam)
    assert not {"script", "link", "iframe", "object", "base", "form", "a"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "img" or not {"src", "href", "srcset"} & set(attributes)
    style = re.search("@import|url\\(", page.text)
    assert style is None
    assert "@page { size: A4" in page.text


def test_the_page_tells_the_exam(client: TestClient, exam: dict[str, bytes]) -> None:
    text = page_of(client, exam).text
    for reported in ("Missing: Fetal abdomen", "a.png", "b.png", "loop.png, frame", "notes.txt", "Research use only"):
        assert reported in text


def test_the_page_shows_the_best_frames_and_their_evidence(client: TestClient, exam: dict[str, bytes]) -> None:
    pictures = page_of(client, exam).pictures()
    assert len(pictures) == 2 * 4 + 1  # of four planes the best twice, and the other thorax
    colored = [np.ptp(np.asarray(each.convert("RGB")).astype(int), axis=2).max() > 40 for each in pictures]
    assert sum(colored) == 4
    assert all(max(each.size) <= 256 for each in pictures)


def test_the_best_frame_shown_is_the_frame(client: TestClient, phantom: Phantom) -> None:
    frames = [still(phantom, "fetal_thorax", 0)] * 3 + [still(phantom, "fetal_femur", 5)] * 3
    pictures = page_of(client, {"loop.webp": animation("WEBP", frames, lossless=True)}).pictures()
    femur, _, thorax, _ = [np.asarray(each.convert("L")).astype(int) for each in pictures]
    assert np.abs(femur - frames[3]).mean() < 8 < np.abs(femur - frames[0]).mean()
    assert np.abs(thorax - frames[0]).mean() < 8


def test_stills_are_looked_at_once_and_of_a_loop_the_best_frames_again(
    client: TestClient, exam: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, classify = list[int](), Pipeline.classify_frame

    def counted(self: Pipeline, frame: PreparedFrame, **options: bool) -> Any:
        seen.append(frame.metadata.count)
        return classify(self, frame, **options)

    monkeypatch.setattr(Pipeline, "classify_frame", counted)
    page_of(client, exam)
    assert sorted(seen) == [1] * 3 + [12] * (12 + 2)


def test_the_evidence_is_that_of_explain(client: TestClient, phantom: Phantom) -> None:
    large = cv2.resize(still(phantom, "fetal_brain"), (1024, 1024), interpolation=cv2.INTER_NEAREST)
    _, painted, *_ = page_of(client, {"a.png": encode(large)}).pictures()
    whole = client.post("/explain", content=encode(large), headers={"Accept": "image/png"}).content
    expected = Image.open(io.BytesIO(whole)).convert("RGB").resize(painted.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(painted.convert("RGB"))).mean() < 4


def test_a_long_exam_shows_the_first_stills_alone(
    client: TestClient, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.analysis.exam.reader.MAX_THUMBNAILS", 2)
    frames = {f"{number}.png": encode(still(phantom, "fetal_femur", number)) for number in range(5)}
    page = page_of(client, frames)
    best, evidence, *others = page.pictures()
    assert best.size == evidence.size
    assert 1 <= len(others) <= 2
    assert all(name in page.text for name in frames)


def test_a_name_cannot_break_out_of_the_page(client: TestClient, phantom: Phantom) -> None:
    evil = "<img src=x onerror=alert(1)>'&amp;.png"
    frame = encode(still(phantom, "fetal_thorax"))
    loop = animation("PNG", [still(phantom, "fetal_brain")] * 3)
    page = page_of(client, {evil: frame, f"2{evil}": b"text", f"3{evil}": frame, f"4{evil}": loop})
    assert not any(attributes.get("src") == "x" for _, attributes in page.tags)
    assert page.text.count(evil) >= 4  # reported as it is, and no more than reported


def test_an_exam_of_nothing_readable(client: TestClient) -> None:
    answer = ask(client, {"a": b"text"})
    assert len(labels(answer, "missing")) == 5
    assert page_of(client, {"a": b"text"}).pictures() == []


def test_an_incomplete_exam_says_so(serve: Callable[..., TestClient], exam: dict[str, bytes]) -> None:
    client = serve(Phantom(), max_batch_frames=5)
    answer = ask(client, exam)
    assert (answer["complete"], answer["files"], answer["files_left"]) == (False, 3, 2)  # the loop is read in part
    assert labels(answer, "missing") == []
    assert labels(answer, "not-read-yet") == ["Fetal abdomen", "Maternal cervix"]
    page = page_of(client, exam).text
    assert "not read to its end (2 of 5 files left)" in page
    assert "Missing" not in page


def test_files_that_were_not_sent_are_not_read_yet(client: TestClient, exam: dict[str, bytes]) -> None:
    answer = ask(client, exam, "?unread=50")
    assert (answer["complete"], answer["files_left"], labels(answer, "missing")) == (False, 50, [])
    assert labels(answer, "not-read-yet") == ["Fetal abdomen"]
    assert "(50 of 55 files left)" in page_of(client, exam, "?unread=50").text


def test_a_person_s_choice_comes_first(client: TestClient, exam: dict[str, bytes]) -> None:
    (thorax,) = [each for each in ask(client, exam)["planes"] if each["plane"] == "fetal_thorax"]
    first, second = thorax["frames"]
    chosen = f"?chosen={second['source']['file']}:0,77:0"
    (changed,) = [each for each in ask(client, exam, chosen)["planes"] if each["plane"] == "fetal_thorax"]
    assert (thorax["chosen"], changed["chosen"]) == (False, True)
    assert changed["frames"] == [second, first]
    assert changed["best"] == second
    page = page_of(client, exam, chosen)
    assert page.text.count("Chosen by a person") == 1
    assert len(page.pictures()) == 2 * 4 + 1  # its evidence is drawn, too
    assert client.post("/exam?chosen=3", files=upload(exam)).json()["code"] == "bad-parameter"


def test_frames_with_the_same_percentage_tie(client: TestClient, phantom: Phantom) -> None:
    frame = encode(still(phantom, "fetal_femur", 1))
    same_pixels = encode(still(phantom, "fetal_femur", 1), "BMP")
    loop = animation("PNG", [still(phantom, "fetal_femur", 1)] * 3)
    answer = ask(client, {"loop.png": loop, "a.png": frame, "b.bmp": same_pixels})
    (femur,) = [each for each in answer["planes"] if each["frames"]]
    assert [(each["source"]["name"], each["tied"]) for each in femur["frames"]] == [
        ("loop.png", True), ("a.png", True), ("b.bmp", True)
    ]  # fmt: skip
    assert not ask(client, {"a.png": frame})["planes"][2]["best"]["tied"]


def test_a_minority_of_a_loop_does_not_file_it_under_a_plane(
    serve: Callable[..., TestClient], phantom: Phantom
) -> None:
    client = serve(Phantom(max_ood_score=0.5))
    known = still(phantom, "fetal_thorax", 0) // 3
    unknown = known + 160  # the same shot, but so bright that it is out of distribution
    answer = ask(client, {"heart.png": animation("PNG", [known, *[unknown] * 4] * 3)})
    (cine,) = answer["cines"]
    assert (cine["cuts"], cine["abstained"], [each["plane"] for each in cine["segments"]]) == ([], 12, [None])
    assert not any(plane["frames"] for plane in answer["planes"])
    assert [each["reason"] for each in answer["review"]] == ["no-plane"]
    page = client.post("/exam", files=upload({"heart.png": animation("PNG", [known, *[unknown] * 4])}), headers=HTML)
    assert "4 of 5 frames not sure" in page.text


def test_files_with_the_same_bytes_count_once(client: TestClient, exam: dict[str, bytes]) -> None:
    once = ask(client, exam)
    again = ask(client, exam | {"copy.png": exam["b.png"], "notes copy.txt": exam["notes.txt"]}, "?chosen=5:0")
    assert [(each["source"]["name"], each["same_as"]["name"]) for each in again["duplicates"]] == [
        ("copy.png", "b.png"), ("notes copy.txt", "notes.txt"),
    ]  # fmt: skip
    assert again["duplicates"][0]["source"] == {"file": 5, "name": "copy.png", "frame": None}
    for key in ("planes", "refused", "files", "frames", "complete"):
        same = [once[key], again[key]]
        if key == "refused":
            same = [[each["source"] for each in problems] for problems in same]
        assert same[0] == same[1], key
    page = client.post("/exam", files=upload(exam | {"copy.png": exam["b.png"]}), headers=HTML).text
    assert re.search(r"<td>copy.png\s*<td>same as b.png", page)


def test_another_file_of_the_same_size_is_no_duplicate(client: TestClient, exam: dict[str, bytes]) -> None:
    other = bytearray(exam["b.png"])
    other[-6] ^= 1  # the checksum of the last chunk
    assert ask(client, exam | {"other.png": bytes(other)})["duplicates"] == []
