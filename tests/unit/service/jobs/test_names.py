"""A name is only a name, in every locale: each file has its row, and each output is readable."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.schemas.file_names import name_text
from tests.support import dicom_objects as dicoms
from tests.support.commands import run_commands
from tests.support.images import encode, speckle

NAMES = [
    b"plain.png",
    "Müller.png".encode(),
    "Müller.png".encode("latin-1"),
    rb"M\xfcller.png",
    b"two\nlines.png",
    b"tab\tand\rreturn",
    b"\xed\xb3\xbc",  # a surrogate
    "\u202egnp.exe".encode(),
    b"n" * 255,
    "頭".encode() * 85,
    b'"quoted", <b>&amp;',
    b"-rf",
    b"%s%n",
    b"=1+1",
    b" ",
]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
LOCALES = [ASCII, pytest.param({"LC_ALL": "C.UTF-8"}, marks=pytest.mark.slow)]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a name in Latin-1, of frames with odd names."""
    folder = os.fsencode(tmp_path) + b"/f\xfcr\n"
    os.mkdir(folder)  # noqa: PTH102 (bytes)
    for number, name in enumerate(NAMES):
        still = dicoms.native([speckle(seed=number)], SOPInstanceUID=f"1.2.3.{number}")
        contents = still if number % 2 else encode(speckle(seed=number))
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(contents)
    return Path(os.fsdecode(folder))


@pytest.fixture(params=LOCALES, ids=lambda each: each["LC_ALL"])
def environment(request: pytest.FixtureRequest, phantom_folder: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    locale: dict[str, str] = request.param
    return plain | {"FETAL_PLANES_MODEL": str(phantom_folder)} | locale


def run(environment: dict[str, str], *commands: Sequence[str | Path]) -> bytes:
    done = run_commands(commands, environment)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0), done.stderr
    return done.stdout


def texts() -> list[str]:
    return sorted(map(name_text, NAMES))


def test_process(odd: Path, environment: dict[str, str]) -> None:
    out = odd.parent / os.fsdecode(b"r\xe9sultats")
    run(environment, ("process", "--reports", odd, out), ("process", "--reports", odd, out))
    rows = [json.loads(line) for line in (out / "frames.jsonl").read_bytes().splitlines()]
    assert sorted(row["file"] for row in rows) == texts()
    with (out / "frames.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(line["file"].removeprefix("'") for line in csv.DictReader(file)) == texts()
    assert len(list((out / "dicom").iterdir())) == len(NAMES) // 2


def test_exam(odd: Path, environment: dict[str, str]) -> None:
    page = odd.parent / os.fsdecode(b"\xfc.html")
    report = json.loads(run(environment, ("exam", odd, "-o", page)))
    assert report["frames"] == len(NAMES)
    shown = page.read_text("utf-8")
    assert "\\xfcller" in shown
    assert not {"\u202e", "\x00"} & set(shown)


def test_table(odd: Path, environment: dict[str, str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `table` is not installed")
    out = odd.parent / os.fsdecode(b"t\xe4ble")
    run(environment, ("table", odd, out), ("table", odd, out))
    names = []
    for part in out.glob("batch=*/*"):
        with part.open("rb") as file:
            names += parquet.read_table(file)["file"].to_pylist()
    assert sorted(names) == texts()


def test_one_frame(odd: Path, environment: dict[str, str]) -> None:
    paths = [odd / os.fsdecode(name) for name in NAMES]
    picture = odd.parent / os.fsdecode(b"\xfc.png")
    explain = ("explain", paths[2], "-o", picture)
    *lines, _, cine = run(environment, ("classify", *paths), explain, ("cine", paths[2])).splitlines()
    assert len([line for line in lines if json.loads(line)["predictions"]]) == len(NAMES)
    assert json.loads(cine)["source"]["name"] == name_text(NAMES[2])
