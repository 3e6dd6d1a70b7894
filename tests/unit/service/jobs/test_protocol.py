"""`fetal-planes process --protocol`: all files as one exam, with the answers of `/exam`."""

import json
from pathlib import Path

import pydicom
import pytest

from service.cli import main
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle
from tests.support.job_inputs import process, result_rows
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still


@pytest.fixture
def exam(tmp_path: Path, phantom: Phantom) -> Path:
    """Stills, a still in two copies, a DICOM loop, and a loop that shows no plane."""
    folder = tmp_path / "exam"
    folder.mkdir()
    shown = ["fetal_femur"] * 6 + ["maternal_cervix"] * 6
    (folder / "a.png").write_bytes(encode(still(phantom, "fetal_brain", 1)))
    (folder / "b.png").write_bytes(encode(still(phantom, "maternal_cervix", 2)))
    (folder / "copy of b.png").write_bytes((folder / "b.png").read_bytes())
    (folder / "loop.dcm").write_bytes(dicoms.native([still(phantom, plane, 3) for plane in shown]))
    (folder / "none.png").write_bytes(animation("PNG", [still(phantom, "fetal_thorax", seed) for seed in range(2)]))
    return folder


@pytest.mark.parametrize("protocol", ["all-planes", "cervix"])
def test_items_are_those_of_an_exam(
    exam: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    assert main(["exam", str(exam), "--protocol", protocol, "--model", str(phantom_folder)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert process(phantom_folder, exam, out, "--protocol", protocol) == 0
    said = capsys.readouterr().err
    result = json.loads((out / "result.json").read_text())
    assert (result["protocol"], result["items"]) == (report["protocol"], report["items"])
    assert f"{report['protocol']['name']}, version {report['protocol']['version']}:" in said
    cervix = result["items"][-1]
    assert {each["source"]["name"] for each in cervix["frames"]} == {"loop.dcm", "b.png"}  # not its copy
    assert cervix["state"] == ("fulfilled" if protocol == "all-planes" else "missing")


def test_a_loop_without_a_plane_counts_for_no_item(tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "loop.dcm").write_bytes(dicoms.native([speckle(seed=seed) for seed in range(5)]))
    model = Phantom(min_probability=1.0).write(tmp_path / "model")
    assert process(model, tmp_path / "in", out, "--protocol", "all-planes") == 0
    assert [row["no_plane"] for row in result_rows(out)] == [True]
    assert {item["state"] for item in json.loads((out / "result.json").read_text())["items"]} == {"missing"}


def test_structured_reports_name_the_protocol_and_its_version(exam: Path, out: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, exam, out, "--protocol", "cervix", "--reports") == 0
    reports = [[str(each.value) for each in pydicom.dcmread(path).iterall()] for path in (out / "dicom").iterdir()]
    assert len(reports) == 2
    assert all({"protocol Cervix", "protocol version 1"} <= set(values) for values in reports)


def test_another_protocol_needs_another_folder(
    exam: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(phantom_folder, exam, out, "--protocol", "cervix") == 0
    assert process(phantom_folder, exam, out, "--protocol", "cervix") == 0
    assert process(phantom_folder, exam, out, "--protocol", "all-planes") == 2
    assert "it was written with another value of --protocol" in capsys.readouterr().err


def test_an_unknown_protocol_is_refused(
    exam: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(phantom_folder, exam, out, "--protocol", "elbow") == 1
    assert json.loads(capsys.readouterr().out)["code"] == "no-such-protocol"
