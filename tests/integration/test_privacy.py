"""Nothing that names a patient leaves by any door but the DICOM results: every other door is opened and searched."""

import json
import logging.config
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.observability.logs import log_config
from service.settings import Settings
from tests.support import dicom_objects as dicoms
from tests.support.commands import run_commands
from tests.support.dicom_objects import PLANTED
from tests.support.images import speckle

PIXELS = speckle(60, 80, seed=5)
CINE = [PIXELS] * 3

# Besides sound objects, those whose values tempt a library to quote them.
OBJECTS = {
    "still": dicoms.native([PIXELS]),
    "implicit": dicoms.native([PIXELS], dicoms.IMPLICIT),
    "cine": dicoms.compressed(CINE, dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2"),
    "another kind": dicoms.native([PIXELS], SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
    "kind unknown": dicoms.native([PIXELS], SOPClassUID="Zanzibar^Quokka"),
    "photometric": dicoms.native([PIXELS], PhotometricInterpretation="QK-7731-PLANTED"),
    "capture": dicoms.native([PIXELS], SOPClassUID=dicoms.SECONDARY, Modality="Zanzibar^Quokka"),
    "charset": dicoms.native([PIXELS], SpecificCharacterSet="ISO 2022 IR 100").replace(
        b"ISO 2022 IR 100", b"Zanzibar^Quokka"
    ),
    "window": dicoms.native([PIXELS], VOILUTFunction="Zanzibar^Quokka", WindowCenter=1, WindowWidth=-1),
    "lying": dicoms.native([PIXELS], Rows=4000),
    "cut": dicoms.native([PIXELS])[:-300],
    "cut in the name": dicoms.native([PIXELS]).partition(b"Zanzibar^Quokka")[0] + b"Zanzibar^Quokka",
    "bad name": dicoms.native([PIXELS], PatientName="Zanzibar^Quokka" + "=" * 5 + "x" * 200),
    "bad date": dicoms.native([PIXELS], PatientBirthDate="QK-7731-PLANTED"),
    "bad sex": dicoms.native([PIXELS], PatientSex="Zanzibar^Quokka"),
    "no study": dicoms.native([PIXELS], StudyInstanceUID=None),
}


def planted_in(text: str | bytes) -> list[str]:
    """What was planted and is found, whole or by a part that tells as much."""
    content = text.encode() if isinstance(text, str) else text
    words = {word for value in PLANTED.values() for word in value.replace("^", " ").split(" ") if len(word) > 5}
    return sorted(word for word in words if word.encode() in content)


def test_the_search_finds_what_it_is_for() -> None:
    assert planted_in(OBJECTS["still"])
    assert len(planted_in(OBJECTS["still"])) >= len(PLANTED)
    assert planted_in("a name: Quokka") == ["Quokka"]


@pytest.fixture
def doors(phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, Path]]:
    """A client of an app that logs all it can, and the one folder that temporary files would go to."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for name in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(name, str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with TestClient(create_app(Settings(model=phantom_folder)), raise_server_exceptions=False) as client:
        yield client, temporary


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", OBJECTS)
def test_by_http(name: str, doors: tuple[TestClient, Path], capfd: pytest.CaptureFixture[str]) -> None:
    client, temporary = doors
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.config.dictConfig(log_config("debug"))
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for reply in everything_asked(client, OBJECTS[name]):
                assert reply.status_code < 500
                assert planted_in(reply.content) == []
                assert planted_in(str(reply.headers)) == []
            assert planted_in(client.get("/metrics").content) == []
        telling = [each for each in warned if planted_in(str(each.message))]
        assert all("/pydicom/" in each.filename for each in telling)  # which the command has silenced
    finally:
        root.handlers[:], root.level = handlers, level
    printed = capfd.readouterr()
    assert '"message": "request"' in printed.err or "request" in printed.err  # it was listened to
    assert planted_in(printed.out + printed.err) == []
    assert list(temporary.rglob("*")) == []


def everything_asked(client: TestClient, upload: bytes) -> Iterator[Any]:
    for path in ("/classify", "/explain", "/classify?frame=7", "/explain?target=nothing", "/classify?bad=1"):
        yield client.post(path, content=upload)
        yield client.post(path, files={"file": ("frame.dcm", upload, "application/dicom")})
    for path in ("/classify", "/explain"):
        reply = client.post(path, content=upload, headers={"accept": "application/dicom"})
        if reply.status_code != 200:  # the one answer that has to name the patient
            yield reply


def test_by_the_command_line(phantom_folder: Path, tmp_path: Path) -> None:
    folder, out, temporary = tmp_path / "in", tmp_path / "out", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    for number, data in enumerate(OBJECTS.values()):
        (folder / f"{number}.dcm").write_bytes(data)
    environment = os.environ | {"FETAL_PLANES_MODEL": str(phantom_folder), "TMPDIR": str(temporary)}
    frames = [str(path) for path in sorted(folder.iterdir())]
    explained = ["-o", str(tmp_path / "o.jpg"), "--dicom", str(tmp_path / "objects")]
    commands = [
        ["classify", *frames],
        ["explain", frames[0], *explained],
        ["explain", str(folder / f"{list(OBJECTS).index('charset')}.dcm"), *explained],
        ["process", str(folder), str(out), "--reports", "--overlays"],
    ]
    run = run_commands(commands, environment)
    assert run.returncode in (0, 1), run.stderr
    assert planted_in(run.stdout + run.stderr) == []
    assert list(temporary.rglob("*")) == []
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".dcm":
            assert planted_in(path.read_bytes()) == [], path.name
    assert len((out / "frames.jsonl").read_text().splitlines()) == sum(1 for _ in OBJECTS) + 2
    assert any(planted_in(path.read_bytes()) for path in out.rglob("*.dcm"))  # the results do belong to the patient
    assert json.loads((out / "result.json").read_text())["refused"] > 3
