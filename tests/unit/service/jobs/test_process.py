"""`fetal-planes process` on a folder: rows, table, counts, and what is refused."""

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import service
from service.jobs.rows import ResultRow
from service.jobs.tables.frames_csv import COLUMNS
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.job_inputs import FRAMES, process, result_frames, result_rows
from tests.support.phantom_package import Phantom


def test_every_frame_has_a_row(source: Path, out: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, source, out) == 1  # two files are refused
    assert sorted(result_frames(out)) == FRAMES


def test_a_row_has_the_answer_of_classify(source: Path, out: Path, phantom_folder: Path, client: Any) -> None:
    process(phantom_folder, source, out)
    for row in result_rows(out):
        reply = client.post(f"/classify?top=9&frame={row['frame']}", content=(source / row["file"]).read_bytes()).json()
        found = row["answer"] or row["problem"]
        assert found | {"request_id": ""} == reply | {"request_id": ""}
        assert (row["answer"] is None) == (row["file"] in ("junk", "a/cut.dcm"))
        assert "ood_score" not in row
        assert row["sha256"] == hashlib.sha256((source / row["file"]).read_bytes()).hexdigest()


def test_the_csv_has_the_rows_in_order(source: Path, out: Path, phantom_folder: Path) -> None:
    process(phantom_folder, source, out)
    with (out / "frames.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["file"], int(line["frame"])) for line in lines] == FRAMES
    rows = {(row["file"], row["frame"]): row for row in result_rows(out)}
    for line in lines:
        row = rows[line["file"], int(line["frame"])]
        if row["answer"]:
            assert line["plane"] == row["answer"]["predictions"][0]["plane"]
            assert float(line["second_probability"]) == row["answer"]["predictions"][1]["probability"]
            assert line["problem"] == ""
            assert {name: float(cell) for name, cell in line.items() if name.startswith("p_")} == {
                f"p_{each['plane']}": each["probability"] for each in row["answer"]["predictions"]
            }
            assert line["model_sha256"] == row["answer"]["model"]["sha256"]
        else:
            assert (line["problem"], line["detail"]) == (row["problem"]["code"], row["problem"]["detail"])


def test_the_csv_names_no_plane_where_the_model_abstains(tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dark.png").write_bytes(encode(np.zeros((64, 64), np.uint8)))
    process(Phantom(min_probability=0.9999).write(tmp_path / "model"), tmp_path / "in", out)
    with (out / "frames.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["abstain"], line["abstain_reason"]) == ("true", "uncertain")
    assert (line["plane"], line["label"], line["probability"], line["second_plane"]) == ("", "", "", "")
    assert sum(float(cell) for name, cell in line.items() if name.startswith("p_")) == pytest.approx(1, abs=1e-4)


def test_the_csv_has_the_times_of_loops_that_state_them(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    frames = [speckle(seed=seed) for seed in range(3)]
    (tmp_path / "in" / "loop.dcm").write_bytes(dicoms.native(frames, FrameTime="33.3"))
    (tmp_path / "in" / "still.png").write_bytes(encode(frames[0]))
    assert process(phantom_folder, tmp_path / "in", out) == 0
    with (out / "frames.csv").open(newline="") as file:
        found = [(line["file"], line["frame"], line["seconds"]) for line in csv.DictReader(file)]
    assert found == [
        ("loop.dcm", "0", "0.0"), ("loop.dcm", "1", "0.033"), ("loop.dcm", "2", "0.067"), ("still.png", "0", "")
    ]  # fmt: skip


def test_the_page_saves_the_same_columns() -> None:
    script = (Path(service.__file__).parent / "web" / "export.js").read_text()
    head = script.partition("const head = [")[2].partition("];")[0]
    of_the_page = {"best", "verdict", "corrected_plane", "corrected_sub_plane"}
    assert [name for name in re.findall(r'"(\w+)"', head) if name not in of_the_page] == list(COLUMNS)
    assert "`p_${id}`" in head


def test_the_csv_holds_no_formula(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "=1+1.png").write_bytes(encode(speckle()))
    assert process(phantom_folder, tmp_path / "in", out) == 0
    assert "'=1+1.png" in (out / "frames.csv").read_text()


def test_result_json_has_the_counts(source: Path, out: Path, phantom_folder: Path) -> None:
    process(phantom_folder, source, out)
    result = json.loads((out / "result.json").read_text())
    assert (result["frames"], result["refused"], result["abstained"]) == (11, 2, 0)
    assert sum(result["planes"].values()) == 9
    assert [(each["file"], each["problem"]) for each in result["refusals"]] == [
        ("a/cut.dcm", "unreadable-frame"), ("junk", "unsupported-format")
    ]  # fmt: skip
    assert result["skipped"] == 2
    assert result["skipped_files"] == [
        {"file": ".hidden", "reason": "its name is hidden"}, {"file": "notes.txt", "reason": "text"}
    ]  # fmt: skip
    assert "Research use only" in result["disclaimer"]


def test_results_inside_the_source_are_no_input(source: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, source, source / "out") == 1
    assert process(phantom_folder, source, source / "out") == 1
    assert sorted(result_frames(source / "out")) == FRAMES


def test_a_broken_link_is_left_out(source: Path, out: Path, phantom_folder: Path) -> None:
    (source / "nowhere.png").symlink_to(source / "still.png")
    (source / "still.png").rename(source / "moved.png")
    assert process(phantom_folder, source, out) == 1
    assert ("moved.png", 0) in result_frames(out)
    assert ("nowhere.png", 0) not in result_frames(out)


def test_an_unexpected_error_is_a_row_without_its_text(
    source: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("Zanzibar^Quokka")

    monkeypatch.setattr("service.analysis.pipeline.Pipeline.classify_frame", fail)
    assert process(phantom_folder, source, out) == 1
    assert {row["problem"]["code"] for row in result_rows(out)} >= {"internal-error", "unsupported-format"}
    assert "Zanzibar" not in (out / "frames.jsonl").read_text()


@pytest.mark.parametrize("arguments", [[], ["in"], ["in", "out", "more"], ["absent", "out"], ["in", "in"]])
def test_wrong_folders_are_refused(
    arguments: list[str], tmp_path: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert process(phantom_folder, *arguments) == 2


def test_every_field_of_a_row_is_documented() -> None:
    assert all(field.description for field in ResultRow.model_fields.values())
