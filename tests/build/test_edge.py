"""Smaller forms of a graph: what is quantised, what is not, and what the table says of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from model_build.data import Record
from model_build.edge import Form, compare, heat_map_agreement, keeps, time_in_turns
from model_build.quantize import to_float16, to_int8
from service.inference.engine import Engine, Scores
from service.inference.package import ModelPackage, load_package
from tests.phantom_package import Phantom
from tests.pictures import speckle

VIEWS = np.stack([speckle(64, 64, seed) for seed in range(6)])[:, None]


def named(graph: bytes) -> bytes:
    """The graph with names for its nodes, as PyTorch's exporter gives."""
    model = onnx.load_from_string(graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(Phantom().write(tmp_path_factory.mktemp("edge")))


@pytest.fixture(scope="module")
def int8(package: ModelPackage) -> bytes:
    return to_int8(named(package.classifier), VIEWS)


def test_int8_has_scales_per_channel_and_weights_of_7_bits(int8: bytes) -> None:
    graph = onnx.load_from_string(int8).graph
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    kernels = next(value for name, value in weights.items() if "kernels" in name and value.ndim == 4)
    assert kernels.dtype == np.int8
    assert np.abs(kernels.astype(int)).max() <= 64
    assert next(value for name, value in weights.items() if "kernels_scale" in name).shape == (len(kernels),)


def test_int8_leaves_the_head_and_the_novelty_alone(int8: bytes) -> None:
    graph = onnx.load_from_string(int8).graph
    kinds = {each.name: each.data_type for each in graph.initializer}
    assert kinds["head"] == TensorProto.FLOAT
    assert not [name for name in kinds if name.startswith(("logits", "pooled", "cooled", "novelty"))]
    assert [output.name for output in graph.output] == ["probabilities", "logits", "features", "novelty"]


@pytest.mark.parametrize("form", ["int8", "float16"])
def test_the_forms_say_nearly_the_same(package: ModelPackage, int8: bytes, form: str) -> None:
    graph = int8 if form == "int8" else to_float16(named(package.classifier))
    plain, small = Engine(package), Engine(replace(package, classifier=graph))
    for view in VIEWS[:, 0]:
        expected, found = plain.score(view), small.score(view)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=0.03)
        assert found.novelty == pytest.approx(expected.novelty, abs=1e-3)
    correlation, same_peak = heat_map_agreement(Form(form, small), Form("float32", plain), list(VIEWS[:, 0]))
    assert correlation > 0.95
    assert same_peak > 0.4


def test_float16_halves_the_weights_of_the_backbone_alone(package: ModelPackage) -> None:
    graph = onnx.load_from_string(to_float16(named(package.classifier))).graph
    kinds = {each.name: each.data_type for each in graph.initializer}
    assert kinds["kernels"] == TensorProto.FLOAT16
    assert kinds["head"] == TensorProto.FLOAT
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_times_are_taken_in_turns(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = [Form(name, Engine(package)) for name in ("float32", "int8")]
    asked: list[str] = []

    def note(name: str, score: Callable[..., Scores], view: NDArray[np.uint8]) -> Scores:
        asked.append(name)
        return score(view)

    for form in forms:
        monkeypatch.setattr(form.engine, "score", partial(note, form.name, form.engine.score))
    seconds = time_in_turns(forms, [speckle(64, 64)], count=3)
    assert asked == ["float32", "int8"] * 3
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()


@pytest.mark.parametrize(
    ("ratio", "lost", "kept"), [(0.5, 0.0, True), (0.5, 0.006, False), (0.97, -0.01, False), (0.94, 0.005, True)]
)
def test_a_form_is_kept_where_it_is_faster_and_as_right(ratio: float, lost: float, kept: bool) -> None:
    assert keeps(ratio, lost) == kept


@pytest.mark.parametrize(("missed", "kept"), [(1, "yes"), (3, "yes"), (4, "no")])
def test_views_of_all_kinds_decide_and_no_single_frame(package: ModelPackage, missed: int, kept: str) -> None:
    forms = [Form(name, Engine(package)) for name in ("float32", "int8")]
    right = [np.ones((7, 100), bool), np.ones((7, 100), bool)]
    right[1][0, :missed] = False
    test = [Record(Path("none.png"), "1", 0, "none", "test")]
    rows = compare(forms, np.array([[1.0, 0.5]]), right, ([speckle(64, 64)], test))
    assert [row["validation_top1"] for row in rows] == [1, 1 - missed / 100]
    assert [row["varied_top1"] for row in rows] == [1, 1]
    assert [row["kept"] for row in rows] == ["yes", kept]
