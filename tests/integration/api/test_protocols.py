"""Protocols through the service: the list, the choice, start errors and reloads."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.analysis.protocols import load
from service.analysis.protocols.file import ProtocolError
from service.app import create_app
from service.settings import Settings
from tests.support.images import encode
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still

OURS = """name = "Ours"
version = "7"
exam = "Follow-up"
source = { guideline = "List of the department" }

[[items]]
plane = "fetal_brain"
min = 2

[[items]]
label = "Trunk"
one_of = [{ plane = "fetal_thorax" }, { plane = "fetal_abdomen" }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "ours.toml").write_text(OURS)
    return tmp_path / "protocols"


@pytest.fixture(scope="module")
def files(phantom: Phantom) -> list[tuple[str, tuple[str, bytes]]]:
    shown = ["fetal_brain", "fetal_thorax", "fetal_femur"]
    return [("files", (f"{plane}.png", encode(still(phantom, plane, 1)))) for plane in shown]


def test_protocols_are_listed(serve: Callable[..., TestClient], folder: Path) -> None:
    answer = serve(Phantom(), protocols=folder, default_protocol="ours").get("/protocols").json()
    assert answer["default"] == "ours"
    assert [each["id"] for each in answer["protocols"]] == ["all-planes", "cervix", "ours"]
    assert answer["protocols"][2]["items"][1]["label"] == "Trunk"


def test_an_exam_is_checked_against_the_chosen_protocol(
    serve: Callable[..., TestClient], folder: Path, files: list[tuple[str, tuple[str, bytes]]]
) -> None:
    client = serve(Phantom(), protocols=folder, default_protocol="cervix")
    answer = client.post("/exam?protocol=ours", files=files).json()
    assert (answer["protocol"]["id"], answer["protocol"]["version"]) == ("ours", "7")
    brain, trunk = answer["items"]
    assert (brain["state"], len(brain["frames"])) == ("missing", 1)
    assert (trunk["state"], [each["source"]["name"] for each in trunk["frames"]]) == ("fulfilled", ["fetal_thorax.png"])
    assert client.post("/exam", files=files).json()["protocol"]["id"] == "cervix"
    page = client.post("/exam?protocol=ours", files=files, headers={"Accept": "text/html"}).text
    assert "Ours, version 7" in page
    assert "1 of 2" in page
    refused = client.post("/exam?protocol=elbow", files=files).json()
    assert (refused["status"], refused["code"]) == (422, "no-such-protocol")
    assert client.post("/exam?expect=fetal_brain", files=files).json()["code"] == "bad-parameter"


def test_a_protocol_that_does_not_fit_ends_the_start(phantom_folder: Path, folder: Path) -> None:
    path = folder / "ours.toml"
    path.write_text(OURS.replace("fetal_abdomen", "fetal_elbow"))
    settings = Settings(model=phantom_folder, protocols=folder)
    words = f"{path}, line 12: the model has no plane `fetal_elbow`"
    with pytest.raises(ProtocolError, match=words), TestClient(create_app(settings)):
        pass


def test_what_is_no_file_is_refused_and_not_waited_for(phantom_folder: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")
    settings = Settings(model=phantom_folder, protocols=folder)
    words = "pipe.toml cannot be read: it is not a regular file"
    with pytest.raises(ProtocolError, match=words), TestClient(create_app(settings)):
        pass


@pytest.fixture
def hanging_share(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Have the folder of protocols hang like a share whose server is away, once the event is set."""
    hangs, back, real = threading.Event(), threading.Event(), load._files

    def list_files(folder: Path | None) -> list[Path]:
        if hangs.is_set():
            back.wait(120)
        return real(folder)

    monkeypatch.setattr(load, "_files", list_files)
    yield hangs
    back.set()


def test_a_share_that_hangs_ends_the_start_with_its_name(
    phantom_folder: Path, folder: Path, hanging_share: threading.Event
) -> None:
    hanging_share.set()
    settings = Settings(model=phantom_folder, protocols=folder, load_s=1)
    with (
        pytest.raises(ProtocolError, match=f"loading {folder}: .*FETAL_PLANES_LOAD_S"),
        TestClient(create_app(settings)),
    ):
        pass


def test_a_share_that_hangs_at_a_reload_leaves_the_old_protocols(
    serve: Callable[..., TestClient],
    folder: Path,
    files: list[tuple[str, tuple[str, bytes]]],
    hanging_share: threading.Event,
) -> None:
    client = serve(Phantom(), protocols=folder, load_s=5)
    hanging_share.set()
    client.app.state.runtime._load_limit.limit_s = 0.3  # type: ignore[attr-defined]
    client.app.state.runtime.reload()  # type: ignore[attr-defined]
    assert 'fetal_planes_reloads_total{result="refused"} 1.0' in client.get("/metrics").text
    assert client.post("/exam?protocol=ours", files=files).json()["protocol"]["version"] == "7"


def test_a_reload_reads_protocols_again_and_keeps_them_where_they_are_wrong(
    serve: Callable[..., TestClient], folder: Path
) -> None:
    client = serve(Phantom(), protocols=folder)
    runtime = client.app.state.runtime  # type: ignore[attr-defined]
    for text, version in [(OURS.replace('"7"', '"8"'), "8"), ("no = 1", "8"), (OURS, "7")]:
        (folder / "ours.toml").write_text(text)
        runtime.reload()
        assert client.get("/protocols").json()["protocols"][-1]["version"] == version
