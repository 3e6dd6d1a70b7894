"""Model packages that must not be served: the phantom with a changed classifier and a right manifest."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.phantom_package import Phantom, write_manifest


def write_changed(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """Write the phantom with another classifier; its hashes are right."""
    Phantom().write(folder)
    model = onnx.load(folder / "classifier.onnx")
    change(model)
    (folder / "classifier.onnx").write_bytes(model.SerializeToString())
    write_manifest(folder, json.loads((folder / "model.json").read_text()))
    return folder


def never_end(model: onnx.ModelProto) -> None:
    """Pass the probabilities through a loop that never ends."""
    _rename(model, "probabilities", "before")
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["value"], ["same"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("Loop", ["", "yes", "before"], ["probabilities"], body=body))


def multiply_ones(model: onnx.ModelProto, side: int) -> None:
    """Multiply the probabilities by a product of two large matrices of constants: one step, which cannot be stopped."""
    _rename(model, "probabilities", "before")
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    model.graph.initializer.append(numpy_helper.from_array(np.array([side, side]), "shape"))
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=one),
            helper.make_node("MatMul", ["ones", "ones"], ["product"]),
            helper.make_node("ReduceMean", ["product"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "before"], ["probabilities"]),
        ]
    )


def _rename(model: onnx.ModelProto, output: str, name: str) -> None:
    for node in model.graph.node:
        node.output[:] = [name if each == output else each for each in node.output]
