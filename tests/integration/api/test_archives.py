"""ZIP archives through the API: the files in them count, companions are skipped, bombs cost their own line."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.support.disk_watch import WATCHING
from tests.support.images import encode, speckle
from tests.support.videos import sample
from tests.support.zips import bomb, changed, usb_export, zip_of

Lines = list[dict[str, Any]]


def ask(client: TestClient, *files: tuple[str, bytes], query: str = "") -> Lines:
    form = [("files", each) for each in files]
    reply = client.post(f"/classify/batch{query}", files=form)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def names(lines: Lines) -> list[str]:
    return [line["source"]["name"] for line in lines]


def test_a_usb_export_is_read_like_a_folder(client: TestClient) -> None:
    before = encode(speckle(40, 56, 9))
    *lines, end = ask(client, ("before.png", before), ("study.zip", zip_of(usb_export())), ("after.png", before))
    frames = ["study.zip/DICOM/S0001/IM_0001", "study.zip/DICOM/S0001/IM_0002", "study.zip/still.png"]
    assert names(lines) == ["before.png", *frames, "after.png"]
    assert all("predictions" in line for line in lines)
    skipped = {each["source"]["name"]: each["reason"] for each in end["summary"]["skipped"]}
    assert skipped == {
        "study.zip/DICOMDIR": "a DICOMDIR",
        "study.zip/README.TXT": "text",
        "study.zip/VIEWER/VIEWER.EXE": "a program",
        "study.zip/AUTORUN.INF": "text",
    }
    numbers = [line["source"]["file"] for line in lines] + [
        each["source"]["file"] for each in end["summary"]["skipped"]
    ]
    assert sorted(numbers) == list(range(9))
    alone = client.post("/classify", content=dict(usb_export())["still.png"]).json()
    assert lines[3]["predictions"] == alone["predictions"]


def test_an_archive_as_the_body_holds_videos_too(client: TestClient) -> None:
    data = zip_of([("loop.mp4", sample("mp4")), ("a.png", encode(speckle()))])
    reply = client.post("/classify/batch?every=20", content=data)
    *lines, end = [json.loads(line) for line in reply.text.splitlines()]
    assert names(lines) == ["loop.mp4", "loop.mp4", "a.png"]
    assert end["summary"]["cines"][0]["name"] == "loop.mp4"


def test_an_exam_reads_archives(client: TestClient) -> None:
    files = [("files", ("study.zip", zip_of(usb_export()))), ("files", ("again.png", dict(usb_export())["still.png"]))]
    report = client.post("/exam", files=files).json()
    assert (report["frames"], report["refused"], len(report["skipped"])) == (3, [], 4)
    (duplicate,) = report["duplicates"]
    assert duplicate["source"]["name"] == "again.png"
    assert duplicate["same_as"]["name"] == "study.zip/still.png"
    page = client.post("/exam", files=files, headers={"Accept": "text/html"})
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (bomb(), "upload-too-large", "100 times"),
        (b"PK\3\4" + bytes(400), "unreadable-frame", "damaged"),
        (zip_of([("inner.zip", zip_of([("a.png", encode(speckle()))]))]), "unsupported-format", "must be unpacked"),
        (zip_of([("a.png", encode(speckle())[:300])]), "unreadable-frame", "PNG"),
        (changed(zip_of([("a.png", encode(speckle()))]), 8, b"\1\0"), "unsupported-format", "encrypted"),
        (
            zip_of([("a.png", bytes(33 * 2**20)), ("b", np.random.default_rng(0).bytes(2**19))]),
            "upload-too-large",
            "",
        ),
    ],
    ids=["bomb", "damaged", "nested", "cut", "encrypted", "large member"],
)
def test_a_bad_archive_costs_its_own_line(client: TestClient, data: bytes, code: str, words: str) -> None:
    lines = ask(client, ("x.zip", data), ("a.png", encode(speckle())))
    assert lines[0]["code"] == code
    assert words in lines[0]["detail"]
    assert "predictions" in lines[-2]
    assert lines[-1]["summary"]["complete"]


def test_too_many_files_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    many = zip_of([(f"{number}.txt", b"x") for number in range(20_001)])
    (line, _) = ask(client, ("many.zip", many))
    assert "more files than the limit of 20000" in line["detail"]


@pytest.mark.slow
def test_ten_thousand_files_with_some_videos_are_read_in_their_order(client: TestClient) -> None:
    stills = [encode(speckle(24, 32, seed)) for seed in range(50)]
    members = [(f"DICOM/{number:05}.png", stills[number % 50]) for number in range(10_000)]
    clips = dict(zip((0, 17, 4_999, 9_999), ("mp4", "avi", "mkv", "mpeg"), strict=True))
    for number, kind in clips.items():
        members[number] = (f"DICOM/{number:05}", sample(kind))
    *lines, end = ask(client, ("export.zip", zip_of(members, zipfile.ZIP_STORED)), query="?every=10")
    expected = [
        f"export.zip/{name}" for number, (name, _) in enumerate(members) for _ in range(4 if number in clips else 1)
    ]
    assert names(lines) == expected
    assert not [line for line in lines if "predictions" not in line]
    assert [line["frame"]["index"] for line in lines if line["frame"]["count"] > 1] == [0, 10, 20, 30] * 4
    summary = end["summary"]
    assert (summary["files"], summary["frames"], summary["complete"]) == (10_000, 10_012, True)
    assert [cine["file"] for cine in summary["cines"]] == list(clips)


def test_of_one_frame_an_archive_is_refused_by_name(client: TestClient) -> None:
    problem = client.post("/classify", content=zip_of([("a.png", encode(speckle()))])).json()
    assert problem["code"] == "unsupported-format"
    assert "`/classify/batch` and `/exam` read the files in it" in problem["detail"]


def test_an_archive_without_a_file_is_empty(client: TestClient) -> None:
    assert client.post("/classify/batch", content=zip_of([("a/", b"")])).json()["code"] == "empty-upload"


@pytest.mark.skipif(not WATCHING, reason="needs inotify")
def test_nothing_of_an_archive_is_written(client: TestClient, tmp_path: Path) -> None:
    evil = zip_of([(f"{tmp_path}/written.png", encode(speckle())), ("../../written.png", encode(speckle()))])
    *lines, _ = ask(client, ("evil.zip", evil))
    assert len(lines) == 2
    assert not list(tmp_path.rglob("written.png"))
