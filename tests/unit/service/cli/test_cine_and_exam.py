"""The commands for frames give the same answers with a local model and through a running service."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fetal_planes_client import Client
from service import cli
from service.cli import remote
from tests.support.exam_items import labels
from tests.support.images import animation, encode
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still
from tests.support.videos import sample

URL = "http://testserver"


@pytest.fixture
def exam(tmp_path: Path, phantom: Phantom) -> Path:
    folder = tmp_path / "exam"
    (folder / "below").mkdir(parents=True)
    loop = ["fetal_femur"] * 6 + ["maternal_cervix"] * 6
    (folder / "a.png").write_bytes(encode(still(phantom, "fetal_thorax", 0)))
    (folder / "b.png").write_bytes(encode(still(phantom, "fetal_brain", 1)))
    (folder / "below" / "loop.png").write_bytes(animation("PNG", [still(phantom, plane, 3) for plane in loop]))
    (folder / ".hidden").write_text("must not be read")
    return folder


@pytest.fixture(params=["local", "remote"])
def model(request: Any, monkeypatch: pytest.MonkeyPatch, client: TestClient, phantom_folder: Path) -> list[str]:
    """The options of a local model, and of a running service."""

    def connect(url: str, *, api_key: str | None) -> Client:
        assert url == URL
        return Client(url, api_key=api_key, transport=client._transport)

    monkeypatch.setattr(remote, "Client", connect)
    return ["--model", str(phantom_folder)] if request.param == "local" else ["--url", URL]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    code = cli.main([str(each) for each in arguments])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestATerminal:
    """A person reads lines that start with a file or plane; `--json` gives what a pipe gets."""

    @pytest.fixture
    def read(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
        def run(*arguments: object) -> list[str]:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
            cli.main([str(each) for each in arguments])
            return capsys.readouterr().out.splitlines()

        return run

    def test_classify(self, read: Callable[..., list[str]], exam: Path, model: list[str]) -> None:
        first, second, absent = read("classify", *(exam / f"{name}.png" for name in "abc"), *model)
        assert re.fullmatch(rf"{exam}/a.png  Fetal thorax +(> )?[0-9.]+ %", first)
        assert second.startswith(f"{exam}/b.png  Fetal brain")
        assert absent == f"{exam}/c.png  refused: The file cannot be read: No such file or directory."

    def test_cine_counts_frames_from_1(self, read: Callable[..., list[str]], exam: Path, model: list[str]) -> None:
        head, *lines = read("cine", exam / "below" / "loop.png", *model)
        assert head == "loop.png  12 frames, 12 of them classified"
        assert [line.split("  ")[1] for line in lines[:2]] == ["frames 1 to 6", "frames 7 to 12"]
        assert all(re.match(r"loop.png  most probable: frame \d+ +(Fetal|Maternal) ", line) for line in lines[2:])

    def test_exam(self, read: Callable[..., list[str]], exam: Path, model: list[str]) -> None:
        lines = read("exam", exam, *model)
        assert any(re.match(r"Fetal brain +1 found, most probable .* b.png", line) for line in lines)
        assert any(re.match("Fetal abdomen +missing", line) for line in lines)
        assert lines[-1] == "14 frames of 3 files, 0 refused"

    def test_exam_with_a_choice_and_files_that_are_elsewhere(
        self, read: Callable[..., list[str]], exam: Path, model: list[str]
    ) -> None:
        Image.open(exam / "b.png").save(exam / "copy.bmp")  # the same bytes would be a duplicate
        lines = read("exam", exam, "--chosen", "copy.bmp:0", "--unread", 2, *model)
        assert any(re.match(r"Fetal brain +2 found, chosen .* copy.bmp", line) for line in lines)
        assert any(re.match("Fetal abdomen +not read yet", line) for line in lines)
        assert lines[-1] == "15 frames of 4 files, 0 refused; 2 of 6 files left"

    @pytest.mark.parametrize("command", [("classify", "a.png"), ("cine", "below/loop.png"), ("exam", ".")])
    def test_json(self, read: Callable[..., list[str]], exam: Path, model: list[str], command: tuple[str, str]) -> None:
        (line,) = read(command[0], exam / command[1], "--json", *model)
        assert isinstance(json.loads(line), dict)


def test_cine_finds_the_segments_of_a_loop(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    code, (summary,) = run(capsys, "cine", exam / "below" / "loop.png", *model)
    assert code == 0
    assert [(each["start"], each["end"], each["plane"]) for each in summary["segments"]] == [
        (0, 5, "fetal_femur"), (6, 11, "maternal_cervix")
    ]  # fmt: skip
    assert (summary["name"], summary["count"]) == ("loop.png", 12)


def test_cine_prints_frames_if_asked(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    loop = exam / "below" / "loop.png"
    _, lines = run(capsys, "cine", loop, "--frames", "--every", 2, "--limit", 4, *model)
    assert [line["frame"]["index"] for line in lines[:-1]] == [0, 2, 4, 6]
    assert lines[-1]["frames"] == 4


def test_cine_prints_the_answer_of_a_still(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    code, (answer,) = run(capsys, "cine", exam / "a.png", *model)
    assert (code, answer["predictions"][0]["plane"]) == (0, "fetal_thorax")


def test_cine_refuses_a_file_without_frames(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    code, (problem,) = run(capsys, "cine", exam / ".hidden", *model)
    assert (code, problem["code"]) == (1, "unsupported-format")


def test_exam_sorts_a_folder(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path) -> None:
    page = tmp_path / "exam.html"
    code, (report,) = run(capsys, "exam", exam, "-o", page, *model)
    assert code == 0
    assert labels(report, "missing") == ["Fetal abdomen"]
    best = {plane["plane"]: plane["best"]["source"]["name"] for plane in report["planes"] if plane["best"]}
    assert best == {
        "fetal_brain": "b.png", "fetal_femur": "below/loop.png",
        "fetal_thorax": "a.png", "maternal_cervix": "below/loop.png",
    }  # fmt: skip
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert text.count("data:image/jpeg;base64,") == 8


def test_exam_keeps_a_choice(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path) -> None:
    page, chosen = tmp_path / "exam.html", ["--chosen", "below/loop.png:2", "--chosen", "b.png:0"]
    code, (report,) = run(capsys, "exam", exam, *chosen, "--unread", 1, "-o", page, *model)
    planes = {plane["plane"]: plane for plane in report["planes"]}
    assert code == 0
    assert (planes["fetal_brain"]["chosen"], planes["fetal_thorax"]["chosen"]) == (True, False)
    assert (report["files_left"], labels(report, "not-read-yet")) == (1, ["Fetal abdomen"])
    assert "1 of 4 files left" in page.read_text()


@pytest.mark.parametrize("chosen", ["a.png", "a.png:-1", "a.png:x", ":1", "gone.png:0"])
def test_exam_refuses_a_choice_that_names_no_frame(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], chosen: str
) -> None:
    with contextlib.suppress(SystemExit):  # a mistake in the form; a file that is not there has an exit code of 2
        assert cli.main(["exam", str(exam), "--chosen", chosen, *model]) == 2
    error = capsys.readouterr().err
    assert "--chosen" in error


def test_exam_with_a_bad_file_and_another_protocol(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]
) -> None:
    (exam / "damaged.png").write_bytes((exam / "a.png").read_bytes()[:100])
    code, (report,) = run(capsys, "exam", exam, "--protocol", "cervix", *model)
    assert (code, labels(report, "missing")) == (1, ["Maternal cervix"])
    assert [problem["source"]["name"] for problem in report["refused"]] == ["damaged.png"]


def test_exam_skips_what_nobody_meant_as_a_frame(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]
) -> None:
    (exam / "below" / "README").write_text("text")
    os.mkfifo(exam / "pipe")
    assert cli.main(["exam", str(exam), *model]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["refused"] == []
    assert output.err.splitlines() == [
        "skipped .hidden: its name is hidden", "skipped below/README: text", "skipped pipe: it is not a regular file"
    ]  # fmt: skip


def test_exam_reads_names_that_are_not_utf8(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path
) -> None:
    (exam / "a.png").rename(exam / os.fsdecode(b"M\xfcller\n.png"))
    code, (report,) = run(capsys, "exam", exam, "-o", tmp_path / "exam.html", *model)
    assert code == 0
    assert report["planes"][3]["best"]["source"]["name"] == r"M\xfcller\x0a.png"
    assert r"M\xfcller\x0a.png" in (tmp_path / "exam.html").read_text("utf-8")


@pytest.mark.parametrize("index", [0, 7])
def test_one_frame_of_a_loop(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path, index: int
) -> None:
    loop, expected = exam / "below" / "loop.png", "maternal_cervix" if index else "fetal_femur"
    code, (line,) = run(capsys, "classify", loop, "--frame", index, *model)
    assert (code, line["frame"]["index"], line["predictions"][0]["plane"]) == (0, index, expected)
    code, (line,) = run(capsys, "explain", loop, "-o", tmp_path / "o.png", "--frame", index, *model)
    assert (code, line["frame"]["index"], line["explanation"]["target"]) == (0, index, expected)


def test_a_frame_beyond_the_loop_is_refused(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    code, (problem,) = run(capsys, "classify", exam / "below" / "loop.png", "--frame", 12, *model)
    assert (code, problem["code"]) == (1, "no-such-frame")


def test_exam_with_an_unknown_protocol(capsys: pytest.CaptureFixture[str], exam: Path, model: list[str]) -> None:
    code, (problem,) = run(capsys, "exam", exam, "--protocol", "elbow", *model)
    assert (code, problem["code"]) == (1, "no-such-protocol")


def test_exam_refuses_an_empty_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: list[str]) -> None:
    assert cli.main(["exam", str(tmp_path), *model]) == 2
    assert "has no files" in capsys.readouterr().err
    (tmp_path / "README").write_text("text")
    assert cli.main(["exam", str(tmp_path), *model]) == 2
    assert "files skipped: 1" in capsys.readouterr().err


def test_exam_reports_an_output_folder_that_does_not_exist(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path
) -> None:
    assert cli.main(["exam", str(exam), "-o", str(tmp_path / "no" / "page.html"), *model]) == 2
    assert "No such file" in capsys.readouterr().err


def test_classify_prints_the_same_lines(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path
) -> None:
    paths = [exam / "a.png", exam / ".hidden", tmp_path / "absent.png", exam / "b.png"]
    code, lines = run(capsys, "classify", *paths, *model)
    assert code == 1
    assert [line.get("code") for line in lines] == [None, "unsupported-format", "not-found", None]
    assert [lines[index]["predictions"][0]["plane"] for index in (0, 3)] == ["fetal_thorax", "fetal_brain"]


@pytest.mark.parametrize(("name", "kind"), [("o.jpg", "JPEG"), ("o.png", "PNG")])
def test_explain_writes_the_same_picture(
    capsys: pytest.CaptureFixture[str], exam: Path, model: list[str], tmp_path: Path, name: str, kind: str
) -> None:
    code, (line,) = run(capsys, "explain", exam / "a.png", "-o", tmp_path / name, "--target", "fetal_brain", *model)
    assert (code, line["explanation"]["target"]) == (0, "fetal_brain")
    assert Image.open(io.BytesIO((tmp_path / name).read_bytes())).format == kind
    code, (problem,) = run(capsys, "explain", exam / "a.png", "-o", tmp_path / name, "--target", "elbow", *model)
    assert (code, problem["code"]) == (1, "no-such-plane")


def test_explain_through_a_service_writes_no_dicom(capsys: pytest.CaptureFixture[str], exam: Path) -> None:
    assert cli.main(["explain", str(exam / "a.png"), "--dicom", "x", "--url", URL]) == 2
    assert "no DICOM" in capsys.readouterr().err


def test_an_unreachable_service_is_reported(capsys: pytest.CaptureFixture[str], exam: Path) -> None:
    assert cli.main(["classify", str(exam / "a.png"), "--url", "http://127.0.0.1:9"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_the_api_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETAL_PLANES_CLIENT_KEY", "secret")
    with remote._connect(URL) as client:
        assert client._http.headers["x-api-key"] == "secret"


@pytest.mark.parametrize("every", ["0", "-1", "two"])
def test_a_wrong_selection_is_refused(capsys: pytest.CaptureFixture[str], every: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["cine", "x", "--every", every])
    assert "--every" in capsys.readouterr().err


def test_a_video_shows_times(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: list[str]
) -> None:
    path = tmp_path / "loop.mp4"
    path.write_bytes(sample("mp4"))
    code, lines = run(capsys, "cine", path, "--frames", "--fps", "2", *model)
    assert (code, [line["frame"]["seconds"] for line in lines[:-1]]) == (0, [0, 0.5, 1, 1.5])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    cli.main(["cine", str(path), *model])
    _, *segments, best = capsys.readouterr().out.splitlines()
    assert segments[0].startswith("loop.mp4  frames 1 to ")
    assert re.search(r"frames \d+ to 40 \([01]\.\d\d to 1\.95 s\) {2,}\w", segments[-1])
    assert re.search(r"most probable: frame \d+ \(\d\.\d\d s\)  \w", best)
