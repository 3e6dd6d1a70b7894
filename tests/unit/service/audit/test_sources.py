"""Every kind of source: damaged, without columns, twice, of several models, empty, of one exam."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from service.jobs.rows import ResultRow
from tests.support.audit_rows import MODEL, Audit, exam, refused, row, write_lines, write_parquet


def test_parquet_and_json_lines_are_the_same(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    lines = audit(write_lines(tmp_path / "a" / "frames.jsonl", exams))
    table = audit(write_parquet(tmp_path / "b" / "part.parquet", exams))
    assert lines["tables"] == table["tables"]
    assert (lines["exams"], lines["frames"]) == (30, 150)


def test_folders_and_compressed_files(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    plain = audit(write_lines(tmp_path / "plain" / "frames.jsonl", exams))
    folder = tmp_path / "many [1]*"  # characters of a pattern
    write_parquet(folder / "table" / "batch=0000" / "part-0.parquet", exams[:50])
    packed = write_parquet(tmp_path / "part-1.parquet", exams[50:90])
    (folder / "table" / "part-1.parquet.gz").write_bytes(gzip.compress(packed.read_bytes()))
    lines = write_lines(tmp_path / "rest.jsonl", exams[90:])
    (folder / "results").mkdir()
    (folder / "results" / "frames.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    (folder / "results" / "frames.csv").write_text("file,frame,plane,label\n")
    (folder / "results" / "result.json").write_text("{}")
    (folder / "table" / "_listing.parquet").write_bytes(b"PAR1")
    assert audit(folder)["tables"] == plain["tables"]


def test_damaged_rows_are_counted(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    path = write_lines(tmp_path / "frames.jsonl", [*exams, refused("x.png")])
    lines = path.read_text().splitlines()
    lines[3] = "not JSON"
    lines[8] = lines[8].replace('"probability":0.9', '"probability":90')
    lines[14] = lines[14].replace('"frame":0', '"frame":"first"', 1)
    path.write_text("\n".join(lines) + '\n{"file":"cut", "fra')
    result = audit(path)
    assert result["frames"] == 147
    assert "4 rows are damaged, or lack a needed value; they do not count." in result["notes"]
    assert "147 frames count; 1 were refused" in result["notes"][0]


def test_a_damaged_file_ends_the_audit(
    tmp_path: Path, exams: list[ResultRow], audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_parquet(tmp_path / "part.parquet", exams)
    path.write_bytes(path.read_bytes()[:-20])
    assert audit(path)["code"] == 2
    assert f"{path} is damaged" in capsys.readouterr().err
    packed = tmp_path / "frames.jsonl.gz"
    packed.write_bytes(gzip.compress(write_lines(tmp_path / "frames.jsonl", exams).read_bytes())[:-300])
    assert audit(packed)["code"] == 2
    assert f"{packed}" in capsys.readouterr().err


def test_a_table_of_another_program(tmp_path: Path, audit: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"file": ["a"], "frame": [0]}), path)
    assert audit(path)["code"] == 2
    assert "it lacks the columns abstain, model_sha256, plane" in capsys.readouterr().err


def test_without_audit_columns_each_folder_is_an_exam(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    bare = [each.model_copy(update={"audit": None}) for each in exams]
    result = audit(write_lines(tmp_path / "frames.jsonl", bare), protocol="fetal-biometry")
    assert result["exams"] == 30
    assert result["tables"]["items-fetal-biometry"][0]["fulfilled"] == 30
    assert "sites" not in result["tables"]
    assert any("study, operator, machine, site, month (--audit-columns)" in note for note in result["notes"])
    assert any(note.startswith("30 exams state no study") for note in result["notes"])


def test_the_same_frame_counts_once(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    once = audit(write_lines(tmp_path / "frames.jsonl", exams))
    renamed = [each.model_copy(update={"file": f"copy of {each.file}"}) for each in exams[:20]]
    twice = audit(
        write_lines(tmp_path / "frames.jsonl", [*exams, *exams[:7]]),  # a run that was resumed
        write_parquet(tmp_path / "part.parquet", exams),
        write_lines(tmp_path / "renamed.jsonl", renamed),
    )
    assert twice["tables"] == once["tables"]
    assert "177 rows repeat a frame of the same exam; each frame counts once." in twice["notes"]


def test_the_model_of_most_rows_counts_where_two_answered(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    other = MODEL.model_copy(update={"sha256": "c" * 64})
    again = [row(each.file, "other", audit=each.audit, sha256=each.sha256, model=other) for each in exams[:40]]
    new = [
        each.model_copy(update={"answer": each.answer.model_copy(update={"model": other})})
        for number in range(30, 33)
        for each in exam(number)
        if each.answer is not None
    ]
    result = audit(write_lines(tmp_path / "frames.jsonl", [*again, *exams, *new]))
    assert result["tables"]["models"] == [{"model": "a" * 64, "exams": 30}, {"model": "c" * 64, "exams": 3}]
    assert result["tables"]["items-all-planes"][1]["fulfilled"] == 33
    assert any(note.startswith("2 models answered (0 exams have answers of several)") for note in result["notes"])


def test_an_exam_of_two_months_belongs_to_the_first(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    late = [row("late.png", audit=exam(0, month="2026-06", machine="Voluson E10")[0].audit, sha256="e" * 64)]
    result = audit(write_lines(tmp_path / "frames.jsonl", [*exams, *late]))
    assert {each["group"] for each in result["tables"]["months"]} == {"2026-05"}
    assert "1 exams have frames of several months; they belong to the first." in result["notes"]
    assert any(note.startswith("1 exams have several sites, machines or operators") for note in result["notes"])


@pytest.mark.parametrize("month", ["2026-13", "May", ""])
def test_a_month_that_is_none(tmp_path: Path, audit: Audit, month: str) -> None:
    rows = [each for number in range(25) for each in exam(number, month=month)]
    assert "months" not in audit(write_lines(tmp_path / "frames.jsonl", rows))["tables"]


def test_sources_without_an_answer(tmp_path: Path, audit: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(write_lines(tmp_path / "frames.jsonl", [refused("a.png")]))["code"] == 2
    assert "no frame with an answer (rows 1, refused 1, damaged 0)" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert audit(tmp_path / "empty")["code"] == 2
    assert "holds no results of `table` or `process`" in capsys.readouterr().err
    (tmp_path / "frames.jsonl").write_text("")
    assert audit(tmp_path / "frames.jsonl")["code"] == 2
    assert "frames.jsonl is empty" in capsys.readouterr().err
    assert audit(tmp_path / "missing")["code"] == 2
    assert "missing does not exist" in capsys.readouterr().err


def test_a_source_of_one_exam(tmp_path: Path, audit: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exam(1))
    assert audit(source)["code"] == 2
    assert "hold 1 exam; fewer than 20 are not shown" in capsys.readouterr().err
    result = audit(source, min_group=1)
    assert (result["exams"], result["tables"]["findings"]) == (1, [])
    assert (result["out"] / "audit.html").is_file()


def test_the_csv_of_process_is_refused(tmp_path: Path, audit: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frames.csv").write_text("file,frame,seconds,plane,label,probability\n")
    assert audit(tmp_path / "frames.csv")["code"] == 2
    assert "repeats frames.jsonl" in capsys.readouterr().err


def test_out_must_not_lie_in_a_source(
    tmp_path: Path, exams: list[ResultRow], audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(tmp_path / "frames.jsonl", exams)
    assert audit(tmp_path)["code"] == 2
    assert "OUT must not lie in" in capsys.readouterr().err
