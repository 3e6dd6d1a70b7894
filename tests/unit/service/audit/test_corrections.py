"""Agreement with corrections, from each form in which they come."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.jobs.rows import ResultRow
from service.reports.corrections_csv import corrections_csv
from service.schemas.corrections import Correction
from tests.support.audit_rows import MODEL, Audit, write_lines
from tests.support.store import new, opened


def said(row: ResultRow, number: int, **changes: Any) -> dict[str, Any]:
    """What `POST /corrections` keeps about a row: a person confirms it, unless `changes` say otherwise."""
    assert row.answer is not None
    plane = row.answer.predictions[0].plane
    return {
        "id": number, "at": "2026-05-01T00:00:00Z", "who": None, "study": None, "patient": None, "has_frame": False,
        "digest": row.sha256, "frame": 0, "model": MODEL.model_dump(), "answer": {"plane": plane},
        "verdict": "accepted", "plane": plane, "machine": None, "protocol": None,
    } | changes  # fmt: skip


@pytest.fixture
def corrections(exams: list[ResultRow]) -> list[dict[str, Any]]:
    """All frames are confirmed, but for three; one of these was confirmed first; one is of another source."""
    found = [said(row, number + 1) for number, row in enumerate(exams)]
    found[1] |= {"verdict": "rejected", "plane": None}
    found[2] |= {"verdict": "supplemented", "plane": "fetal_brain"}
    found.append(said(exams[3], 1000, verdict="supplemented", plane="other"))
    found.append(said(exams[3], 1001, digest="f" * 64))
    found[4]["answer"] |= {"abstain_reason": "uncertain"}
    return found


def check(result: dict[str, Any]) -> None:
    by_plane = {each["plane"]: (each["frames"], each["agreed"]) for each in result["tables"]["agreement"]}
    assert by_plane["fetal_abdomen"] == (30, 30)
    assert by_plane["fetal_brain"] == by_plane["fetal_femur"] == by_plane["fetal_thorax"] == (30, 29)
    assert by_plane["other"] == (29, 29)
    confusion = {each["model"]: each for each in result["tables"]["confusion"]}
    assert confusion["fetal_brain"]["none of the planes"] == 1
    assert confusion["fetal_femur"]["fetal_brain"] == 1
    assert confusion["fetal_thorax"]["other"] == 1
    assert confusion["abstained"]["other"] == 1
    assert 0.9 < result["kappa"]["low"] < result["kappa"]["value"] < 1
    assert "1 corrections are of frames that no source holds; they do not count." in result["notes"]


def test_an_export_as_json(
    tmp_path: Path, exams: list[ResultRow], corrections: list[dict[str, Any]], audit: Audit
) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exams)
    page = tmp_path / "corrections.json"
    page.write_text(json.dumps({"corrections": corrections, "next": None, "request_id": "1"}, indent=1))
    check(audit(source, page))
    page.write_text(json.dumps(corrections))
    check(audit(source, page))


def test_an_export_as_csv(
    tmp_path: Path, exams: list[ResultRow], corrections: list[dict[str, Any]], audit: Audit
) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exams)
    table = tmp_path / "corrections.csv"
    table.write_text(corrections_csv([Correction.model_validate(each) for each in corrections]))
    check(audit(source, table))


def test_damaged_lines_are_counted(
    tmp_path: Path, exams: list[ResultRow], corrections: list[dict[str, Any]], audit: Audit
) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exams)
    lines = tmp_path / "corrections.jsonl"
    damaged = [corrections[0] | {"digest": "short"}, corrections[0] | {"verdict": "liked"}]
    lines.write_text("".join(json.dumps(each) + "\n" for each in [*corrections, *damaged]) + "{cut")
    result = audit(source, lines)
    check(result)
    assert "3 corrections are damaged; they do not count." in result["notes"]


def test_the_database_of_the_store(
    tmp_path: Path, exams: list[ResultRow], corrections: list[dict[str, Any]], audit: Audit
) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exams)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    kept = ("digest", "frame", "answer", "verdict", "plane")
    with opened(url, tmp_path) as store:
        store.add([new(**{name: each[name] for name in kept}) for each in corrections], who=None)
    check(audit(source, url))


def test_a_database_that_is_none(
    tmp_path: Path, exams: list[ResultRow], audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "frames.jsonl", exams)
    assert audit(source, f"sqlite:///{tmp_path / 'missing.db'}")["code"] == 2
    assert "missing.db does not exist" in capsys.readouterr().err
    assert not (tmp_path / "missing.db").exists()
    assert audit(source, "postgresql://someone:hunter2@127.0.0.1:1/none")["code"] == 2
    said_ = capsys.readouterr().err
    assert "the database of corrections cannot be read" in said_
    assert "hunter2" not in said_


def test_corrections_of_few_exams_are_not_shown(
    tmp_path: Path, exams: list[ResultRow], corrections: list[dict[str, Any]], audit: Audit
) -> None:
    path = tmp_path / "corrections.json"
    path.write_text(json.dumps(corrections[:40]))
    result = audit(write_lines(tmp_path / "frames.jsonl", exams), path)
    assert "agreement" not in result["tables"]
    assert "Corrections of fewer than 20 exams: agreement is not shown." in result["notes"]
