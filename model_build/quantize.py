"""Smaller forms of the classifier's graph: static INT8, and float16.

Only what leads to `features` is changed. The head, the probabilities and the novelty stay in float32: they are a few
thousandths of the work, and the novelty squares numbers that neither form can hold.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

_FEATURES = "features"


class _Views(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime's tools are not typed
    """Hands one view after the other to the calibration."""

    def __init__(self, views: NDArray[np.uint8]) -> None:
        self._left: Iterator[dict[str, Any]] = iter([{"frames": view[None]} for view in views])

    def get_next(self) -> dict[str, Any] | None:
        """The next view, or None when there is none left."""
        return next(self._left, None)


def to_int8(classifier: bytes, views: NDArray[np.uint8]) -> bytes:
    """Quantise the backbone: QDQ, weights per channel, activations by their range over `views`.

    Parameters
    ----------
    classifier
        `classifier.onnx`.
    views
        uint8 [N, 1, S, S], as served, of training frames.

    Returns
    -------
    A graph of the same inputs and outputs. Weights have 7 bits: without VNNI, a CPU's 8-bit products overflow with 8.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        plain.write_bytes(classifier)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            _Views(views),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_outside_the_backbone(onnx.load(prepared)),
        )
        return small.read_bytes()


def to_float16(classifier: bytes) -> bytes:
    """Halve the backbone's weights and arithmetic; inputs and outputs stay as they are."""
    model = onnx.load_from_string(classifier)
    halved = convert_float_to_float16(model, keep_io_types=True, node_block_list=_outside_the_backbone(model))
    return bytes(halved.SerializeToString())


def _outside_the_backbone(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that `features` do not come from, and of those before its first convolution."""
    maker = {output: node for node in model.graph.node for output in node.output}
    inside, waiting = set(), [_FEATURES]
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in inside:
            inside.add(node.name)
            waiting += node.input
    return [node.name for node in model.graph.node if node.name not in inside]
