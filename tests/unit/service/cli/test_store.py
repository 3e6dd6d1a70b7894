"""`fetal-planes store`: secret, upgrade, downgrade, export, erase, expire."""

import csv
import io
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import cv2
import pytest

from model_build.data.formats import read_data
from service.cli import main
from service.sample.frames import draw_frame
from service.site_secret import SiteSecret
from service.store.selection import Selection
from tests.support.paths import ROOT
from tests.support.store import PATIENT, STUDY, new, opened, secret_file, sqlite_url


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETAL_PLANES_STORE", sqlite_url(tmp_path))
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(secret_file(tmp_path)))
    monkeypatch.setenv("FETAL_PLANES_STORE_FRAMES", str(tmp_path / "frames"))


def count(folder: Path) -> int:
    with opened(sqlite_url(folder), folder) as store:
        return len(store.page(Selection(0, 100))[0])


def test_a_secret_is_long_and_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "secret"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "new").write_text(first)
    SiteSecret.read(tmp_path / "new")
    main(["store", "secret"])
    assert capsys.readouterr().out != first


def test_tables_go_up_and_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "upgrade"]) == 0
    assert "0003" in capsys.readouterr().out
    assert main(["store", "downgrade", "0001"]) == 0
    assert main(["store", "downgrade", "base"]) == 0
    assert main(["store", "downgrade", "0004"]) == 2
    assert "base, 0001, 0002, 0003" in capsys.readouterr().err
    assert count(tmp_path) == 0


@pytest.mark.parametrize("option", [("--study", STUDY), ("--patient", PATIENT)])
def test_erase(option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(sqlite_url(tmp_path), tmp_path) as store:
        store.add([new(1), new(2, study="9", patient="9")], None)
    assert main(["store", "erase"]) == 2
    assert main(["store", "erase", *option]) == 0
    assert "1 corrections, 0 frames" in capsys.readouterr().out
    assert count(tmp_path) == 1


def test_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(sqlite_url(tmp_path), tmp_path) as store:
        store.add([new(1)], None)
    monkeypatch.setenv("FETAL_PLANES_STORE_RETENTION_DAYS", "1")
    assert main(["store", "expire"]) == 0
    monkeypatch.setattr("service.settings.timedelta", lambda days: timedelta(seconds=-days))
    assert main(["store", "expire"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"deleted: {count} corrections, 0 frames" for count in (0, 1)]


def test_kept_frames_are_exported_as_the_build_stage_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(sqlite_url(tmp_path), tmp_path, frames=tmp_path / "frames", frames_bytes=10**8) as store:
        for number in range(12):
            png = cv2.imencode(".png", draw_frame(("brain", "femur")[number % 2], seed=number))[1].tobytes()
            plane = ("fetal_brain", "fetal_femur")[number % 2]
            patient = f"patient {number // 2}"
            store.add([new(number, plane="other"), new(number, plane=plane, patient=patient)], None)
            store.keep_frame(store.place(2 * number + 1), png)
        store.add([new(20)], None)  # without a frame
        rejected = new(0, verdict="rejected", plane=None)
        store.add([rejected], None)  # the last word about this frame
    out = tmp_path / "corrected"
    assert main(["store", "export", str(out)]) == 0
    assert "11 frames" in capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO((out / "labels.csv").read_text(), newline="")))
    assert {row["path"] for row in rows} == {path.name for path in out.glob("*.png")}
    index = read_data(out)
    assert len(index.records) == 11
    assert {row["label"] for row in rows} == {"fetal_brain", "fetal_femur"}
    assert len({record.patient for record in index.records}) == 6
    assert sha256(b"0").hexdigest() not in str(rows)
    assert main(["store", "export", str(out)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_without_a_store_or_frames_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FETAL_PLANES_STORE_FRAMES")
    assert main(["store", "export", str(tmp_path / "out")]) == 2
    assert "FETAL_PLANES_STORE_FRAMES" in capsys.readouterr().err
    monkeypatch.delenv("FETAL_PLANES_STORE")
    assert main(["store", "upgrade"]) == 2
    assert "FETAL_PLANES_STORE is not set" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["sqlalchemy", "alembic"])
def test_without_the_extra_its_name_is_given(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from service.cli import main; sys.exit(main(['serve']))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert f"needs the extra `store`, and {missing} is not installed" in run.stderr
