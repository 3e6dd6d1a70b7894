"""The columns for an audit: keyed hashes of `process` and `table`, off unless asked for."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from service import cli
from service.sample.frames import draw_frame
from service.settings import SHIPPED_MODEL
from tests.support import dicom_objects as dicoms
from tests.support.images import encode
from tests.support.job_inputs import process, result_rows
from tests.support.store import SECRET, secret_file

PLANTED = {
    **dicoms.PLANTED,
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.424242",
    "StationName": "PLANTED-STATION",
    "DeviceSerialNumber": "PLANTED-SERIAL",
}
KNOWN = {"ManufacturerModelName": "Voluson E10"}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """An object with every planted value, a second one of another machine, and a picture without any."""
    folder = tmp_path / "in"
    (folder / "pictures").mkdir(parents=True)
    frame = draw_frame("brain", seed=1)
    (folder / "a.dcm").write_bytes(dicoms.native([frame], **PLANTED, **KNOWN))
    other = PLANTED | {"DeviceSerialNumber": "PLANTED-OTHER"}
    (folder / "b.dcm").write_bytes(dicoms.native([frame], **other, **KNOWN, SOPInstanceUID="1.2.9"))
    (folder / "pictures" / "c.png").write_bytes(encode(frame))
    return folder


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(secret_file(tmp_path)))
    return tmp_path / "site.secret"


def keyed(kind: str, value: str) -> str:
    return hmac.new(SECRET.encode(), f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()


def test_the_columns_of_process(frames: Path, out: Path, secret: Path) -> None:
    assert process(SHIPPED_MODEL, frames, out, "--audit-columns", "--site", "north") == 0
    first, second, picture = (row["audit"] for row in sorted(result_rows(out), key=lambda row: row["file"]))
    assert first["study"] == keyed("study", PLANTED["StudyInstanceUID"])
    assert first["patient"] == keyed("patient", PLANTED["PatientID"])
    assert first["operator"] == keyed("operator", PLANTED["OperatorsName"].upper())
    assert first["machine"] == f"Voluson E10 #{keyed('machine', 'PLANTED-SERIAL')[:8]}"
    assert (first["site"], first["month"]) == ("north", "2019-04")
    assert isinstance(first["ood_score"], float)
    assert second["machine"] != first["machine"]
    assert {name: second[name] for name in ("study", "operator")} == {
        name: first[name] for name in ("study", "operator")
    }
    assert picture["study"] == keyed("study", "folder pictures")
    assert [picture[name] for name in ("patient", "operator", "machine", "month")] == [None] * 4


def test_the_columns_of_table(frames: Path, out: Path, secret: Path) -> None:
    assert cli.main(["table", str(frames), str(out), "--audit-columns"]) == 0
    (path,) = out.rglob("part-*.parquet")
    row = parquet.read_table(path).to_pylist()[0]
    assert row["study"] == keyed("study", PLANTED["StudyInstanceUID"])
    assert row["site"] == f"site {keyed('site', PLANTED['InstitutionName'])[:8]}"
    assert row["sha256"] == hashlib.sha256((frames / "a.dcm").read_bytes()).hexdigest()
    assert row["month"] == "2019-04"


def test_nothing_of_a_person_is_in_any_file(
    frames: Path, out: Path, tmp_path: Path, secret: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert process(SHIPPED_MODEL, frames, out, "--audit-columns") == 0
    assert cli.main(["table", str(frames), str(tmp_path / "table"), "--audit-columns"]) == 0
    audit = ["audit", str(out), str(tmp_path / "table"), str(tmp_path / "audit"), "--min-group", "1"]
    assert cli.main(audit) == 0
    written = [path for folder in (out, tmp_path / "table", tmp_path / "audit") for path in folder.rglob("*")]
    said = "".join(capfd.readouterr()).encode()
    contents = said + b"".join(path.read_bytes() for path in written if path.is_file())
    assert len(written) > 30
    assert b"2019-04" in contents  # the month, and no more of the date
    for value in (*PLANTED.values(), SECRET):
        assert value.encode() not in contents
    plain = {hashlib.sha256(value.encode()).hexdigest()[:8] for value in PLANTED.values()}
    assert not [each for each in plain if each.encode() in contents]  # a dictionary of hashes without the key


def test_off_unless_asked_for(frames: Path, out: Path, tmp_path: Path) -> None:
    assert process(SHIPPED_MODEL, frames, out) == 0
    assert {row["audit"] for row in result_rows(out)} == {None}
    assert cli.main(["table", str(frames), str(tmp_path / "table")]) == 0
    (path,) = (tmp_path / "table").rglob("part-*.parquet")
    assert not {"study", "operator", "sha256"} & set(parquet.read_schema(path).names)


def error(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(list(map(str, arguments))) == 2
    return capsys.readouterr().err


def test_they_need_a_secret(
    frames: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = "--audit-columns needs FETAL_PLANES_STORE_SECRET"
    assert wanted in error(["process", frames, out, "--audit-columns"], capsys)
    assert wanted in error(["table", frames, out, "--audit-columns"], capsys)
    assert "--site is one of the columns" in error(["process", frames, out, "--site", "north"], capsys)
    (tmp_path / "short").write_text("short")
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(tmp_path / "short"))
    assert "at least 32" in error(["process", frames, out, "--audit-columns"], capsys)


def test_rows_of_two_secrets_never_mix(
    frames: Path, out: Path, tmp_path: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table"
    for _ in range(2):
        assert process(SHIPPED_MODEL, frames, out, "--audit-columns") == 0
        assert cli.main(["table", str(frames), str(table), "--audit-columns"]) == 0
    assert SECRET not in (out / "job.json").read_text() + (table / "_table.json").read_text()
    secret.write_text("another-secret-that-is-random-enough-98765")
    capsys.readouterr()
    assert "another value of --audit-columns" in error(["process", frames, out, "--audit-columns"], capsys)
    assert "--audit-columns, --site or the site's secret" in error(["table", frames, table, "--audit-columns"], capsys)
    assert "another value of --audit-columns" in error(["process", frames, out], capsys)


def test_the_key_of_a_job_is_no_secret(frames: Path, out: Path, secret: Path) -> None:
    assert process(SHIPPED_MODEL, frames, out, "--audit-columns", "--site", "north") == 0
    fingerprint = json.loads((out / "job.json").read_text())["audit_columns"]
    assert fingerprint == f"{keyed('fingerprint', '')[:16]} north"
