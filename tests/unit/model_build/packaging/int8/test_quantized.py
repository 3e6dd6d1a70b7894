"""`quantize` and `package`: INT8 joins a package where it passes its gates, and float32 stays the same."""

from pathlib import Path

import pytest

from model_build.cli import main
from model_build.packaging.int8 import gates
from model_build.packaging.int8.gates import GATES, Gate
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.tiny_run import BuiltModel, read_table

OPEN = Gate(-2, 2)
CLOSED = Gate(3, 4)


def set_gates(monkeypatch: pytest.MonkeyPatch, gate: Gate, **others: Gate) -> None:
    monkeypatch.setattr(gates, "GATES", dict.fromkeys(GATES, gate) | others)


def sources(built: BuiltModel) -> list[str]:
    return ["--data", str(built.data), "--stretched", str(built.stretched), "--other-organs", str(built.organs)]


def quantize(built: BuiltModel, package: Path, out: Path, *more: str) -> int:
    return main(["quantize", str(built.run), str(package), str(out), *sources(built), *more])


def test_float32_is_the_same_and_int8_is_next_to_it(
    built: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_gates(monkeypatch, OPEN)
    out = tmp_path / "package"
    assert quantize(built, built.package, out) == 0
    assert "heat_map_correlation on test is" in capsys.readouterr().out
    before, after = load_package(built.package), load_package(out)
    assert after.at("float32").classifier == before.classifier
    assert after.sub_planes == before.sub_planes
    for name in ("temperature", "abstention", "metrics", "sub_planes", "prediction_sets", "warnings", "version"):
        assert getattr(after.manifest, name) == getattr(before.manifest, name)
    for precision in ("float32", "int8"):
        Engine(after.at(precision)).warm_up()
    int8 = after.manifest.int8
    assert int8 is not None
    assert [each.metric for each in int8.metrics] == [each.metric for each in before.manifest.metrics]
    assert int8.sub_planes is not None
    assert len(int8.sub_planes.metrics) == 3
    rows = read_table(built.run / "report" / "int8.csv")
    assert [row["metric"] for row in rows if row["split"] == "val"] == list(GATES)
    assert [row["metric"] for row in rows if row["split"] == "test"] == list(GATES)
    # A second time, INT8 and its section of the card are replaced.
    assert quantize(built, out, out, "--replace") == 0
    card = (out / "MODEL_CARD.md").read_text()
    assert card.count("## INT8") == 1
    assert card.count("## Known limits") == 1
    assert load_package(out).classifier == before.classifier


def test_a_failed_gate_keeps_int8_out(
    built: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_gates(monkeypatch, OPEN, augmented_top1=CLOSED)
    assert quantize(built, built.package, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "INT8 is left out: augmented_top1 on val is 0." in error
    assert "allowed: at least +3, at most +4" in error
    assert not (tmp_path / "out").exists()


def test_package_says_why_int8_is_left_out(
    built: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_gates(monkeypatch, OPEN, top1=CLOSED)
    out = tmp_path / "package"
    named = ["--name", "phantoms", "--version", "9.9"]
    assert main(["package", str(built.run), str(out), *sources(built), *named]) == 0
    assert "INT8 is left out: top1 on val" in capsys.readouterr().err
    package = load_package(out)
    assert package.int8 is None
    assert set(package.manifest.files) == set(load_package(built.package).manifest.files)
    assert (
        "**This package has float32 alone.** INT8 loses too much on validation frames: top-1."
        in (out / "MODEL_CARD.md").read_text()
    )


def test_package_adds_int8(built: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_gates(monkeypatch, OPEN)
    out = tmp_path / "package"
    assert main(["package", str(built.run), str(out), *sources(built), "--name", "phantoms", "--version", "9.9"]) == 0
    package = load_package(out)
    assert package.int8 is not None
    assert package.classifier == load_package(built.package).classifier
    assert "This package has both precisions." in (out / "MODEL_CARD.md").read_text()
