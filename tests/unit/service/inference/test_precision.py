"""The precision of the network: what the package holds, and what `auto` takes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.inference import precision
from service.inference.engine import Engine
from service.inference.package import ModelPackage, PackageError, load_package
from service.inference.precision import choose_precision, has_int8_instruction, measure_seconds
from service.schemas.manifest import PrecisionChoice
from tests.support.images import speckle
from tests.support.phantom_package import Phantom, write_manifest

FLOAT32 = Phantom(set_scores=((0.5,),) * 6)
INT8 = Phantom(temperature=2.0, min_probability=0.25, set_scores=((0.25,),) * 6)
PHANTOM = replace(FLOAT32, int8=INT8)


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(PHANTOM.write(tmp_path))


def allow(monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], *, instruction: bool = True) -> None:
    monkeypatch.setattr(precision, "has_int8_instruction", lambda: instruction)
    monkeypatch.setattr(precision, "measure_seconds", lambda _: seconds)


def test_each_precision_answers_with_its_own_graph_and_constants(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_int8_instruction", lambda: True)
    frame = speckle(64, 64)
    phantoms: dict[PrecisionChoice, Phantom] = {"float32": FLOAT32, "int8": INT8}
    for choice, phantom in phantoms.items():
        engine = Engine(choose_precision(package, choice))
        engine.warm_up()
        assert engine.package.precision == choice
        assert np.allclose(engine.score(frame).probabilities, phantom.probabilities(frame), atol=1e-5)
        assert engine.manifest.temperature == phantom.temperature
        assert engine.manifest.abstention.min_probability == phantom.min_probability
        sets = engine.manifest.prediction_sets
        assert sets is not None
        assert sets.probabilities == phantom.set_scores


def test_float32_is_the_same_with_and_without_int8_next_to_it(package: ModelPackage, tmp_path: Path) -> None:
    alone = load_package(FLOAT32.write(tmp_path / "alone"))
    chosen = choose_precision(package, "float32")
    assert (chosen.classifier, chosen.explainer) == (alone.classifier, alone.explainer)
    assert chosen.identity == chosen.sha256


def test_only_the_graphs_in_use_stay_in_memory(package: ModelPackage) -> None:
    assert package.int8 is not None
    chosen = package.at("int8")
    assert (chosen.classifier, chosen.int8) == (package.int8.classifier, None)
    assert package.at("float32").int8 is None
    assert chosen.at("int8") == chosen
    with pytest.raises(PackageError, match="no float32"):
        chosen.at("float32")


def test_answers_of_two_precisions_have_two_identities(package: ModelPackage) -> None:
    assert package.at("int8").sha256 == package.at("float32").sha256
    assert package.at("int8").identity != package.at("float32").identity


@pytest.mark.parametrize(
    ("instruction", "seconds", "expected"),
    [
        (True, (6e-3, 3e-3), "int8"),
        (True, (6e-3, 5.4e-3), "int8"),
        (True, (6e-3, 5.5e-3), "float32"),  # a gain that may be noise
        (True, (3e-3, 6e-3), "float32"),
        (False, (6e-3, 3e-3), "float32"),
    ],
)
def test_auto_takes_int8_where_the_cpu_can_and_it_is_faster(
    package: ModelPackage,
    monkeypatch: pytest.MonkeyPatch,
    instruction: bool,
    seconds: tuple[float, float],
    expected: str,
) -> None:
    allow(monkeypatch, seconds, instruction=instruction)
    assert choose_precision(package, "auto").precision == expected


@pytest.mark.parametrize("choice", ["float32", "int8"])
def test_a_stated_precision_needs_no_measurement(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch, choice: PrecisionChoice
) -> None:
    allow(monkeypatch, (float("nan"), float("nan")))
    assert choose_precision(package, choice).precision == choice


def test_int8_is_refused_where_it_would_overflow(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, (6e-3, 3e-3), instruction=False)
    with pytest.raises(PackageError, match="neither VNNI"):
        choose_precision(package, "int8")


def test_a_package_without_int8_is_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, (6e-3, 3e-3))
    package = load_package(FLOAT32.write(tmp_path))
    assert choose_precision(package, "auto").precision == "float32"
    with pytest.raises(PackageError, match="no int8 classifier"):
        choose_precision(package, "int8")


def test_both_graphs_are_timed(package: ModelPackage) -> None:
    float32, int8 = measure_seconds(package, runs=3)
    assert 0 < float32 < 1
    assert 0 < int8 < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: fpu avx_vnni\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name\t: avx512_vnni\nflags\t\t: fpu\n", False),
        ("Features\t: fp asimd\n", False),
        ("", False),
    ],
)
def test_the_instruction_is_read_from_the_flags(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert has_int8_instruction(path) is expected
    assert has_int8_instruction(tmp_path / "missing") is False


@pytest.mark.parametrize("name", ["classifier_int8.onnx", "sub_planes_int8.onnx"])
def test_a_changed_graph_of_int8_is_refused(tmp_path: Path, name: str) -> None:
    names = ("a_plane", "b_plane")
    with_head = replace(PHANTOM, sub_planes=names, int8=replace(INT8, sub_planes=names))
    folder = with_head.write(tmp_path)
    load_package(folder)
    contents = bytearray((folder / name).read_bytes())
    contents[len(contents) // 2] ^= 1
    (folder / name).write_bytes(contents)
    with pytest.raises(PackageError, match=f"{name} differs"):
        load_package(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "missing.onnx"}, "does not list missing.onnx"),
        ({"abstention": {"min_probability": 0, "max_ood_score": [1], "max_distance": 1}}, "one per plane"),
        ({"prediction_sets": {"probabilities": [[0.5]]}}, "one per plane"),
        ({"sub_planes": {"plane": "other", "sub_planes": [], "file": "", "temperature": 1, "metrics": []}}, "int8"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_manifest_with_another_int8_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = PHANTOM.write(tmp_path)
    manifest = json.loads((folder / "model.json").read_text())
    write_manifest(folder, manifest | {"int8": manifest["int8"] | change})
    with pytest.raises(PackageError, match=message):
        load_package(folder)
