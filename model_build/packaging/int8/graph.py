"""Static quantization of `classifier.onnx` to INT8, after training.

Source: Jacob et al., CVPR 2018 (arXiv 1712.05877). The backbone alone is quantized, in ONNX's QDQ form: activations are
8-bit unsigned, one scale each; weights are 8-bit signed, one scale for each output channel. Heads, OOD terms and
outputs are float32. The kernels for x86 without VNNI add two products in 16 bits, which 8-bit weights overflow: the
service refuses INT8 on such a CPU.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from model_build.packaging.onnx_export import strip_metadata
from service.process_setup import configure_process

FLOAT_CONVOLUTIONS = 8  # the first ones: they see pixels, few channels and wide ranges, and lose most
_QUANTIZED = ("Conv", "Clip", "Add")  # operators of the backbone
_BATCH_SIZE = 8
_TEMPERATURE = "int8.temperature"


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime.quantization is untyped
    """Gives inputs uint8 [N, 1, S, S] to the calibration, batch by batch."""

    def __init__(self, inputs: NDArray[np.uint8]) -> None:
        starts = range(0, len(inputs), _BATCH_SIZE)
        self._batches: Iterator[NDArray[np.uint8]] = (inputs[start : start + _BATCH_SIZE] for start in starts)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch by the name of the graph's input, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"frames": batch}


def quantize_classifier(classifier: Path, inputs: NDArray[np.uint8], quantized: Path) -> None:
    """Write the quantized graph of a classifier; the ranges of its activations are those over the inputs [N, 1, S, S].

    Inputs must be of training frames.
    """
    configure_process()
    logging.disable(logging.WARNING)  # it asks for a preparation that this graph has had: folded norms, known shapes
    quantize_static(
        classifier,
        quantized,
        _Reader(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTIZED),
        nodes_to_quantize=quantized_nodes(onnx.load(classifier)),
        per_channel=True,
        reduce_range=False,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Moving averages of each batch's extremes: the extremes of all batches are those of a few outliers, and
        # percentiles keep histograms of all activations in memory.
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True},
    )
    logging.disable(logging.NOTSET)
    graph = onnx.load(quantized)
    strip_metadata(graph)
    onnx.save(graph, quantized)


def quantized_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes to quantize: the backbone's, after its first `FLOAT_CONVOLUTIONS` convolutions."""
    owner = {output: node for node in model.graph.node for output in node.output}
    found, unread = set(), ["features"]
    while unread:
        node = owner.get(unread.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            unread += node.input
    backbone = [node for node in model.graph.node if node.name in found]
    convolutions = [row for row, node in enumerate(backbone) if node.op_type == "Conv"]
    first = convolutions[FLOAT_CONVOLUTIONS]
    return [node.name for node in backbone[first:] if node.op_type in _QUANTIZED]


def set_temperature(path: Path, temperature: float) -> None:
    """Change the temperature of a graph whose output `probabilities` is a softmax of logits / temperature, in place."""
    model = onnx.load(path)
    graph = model.graph
    owner = {output: node for node in graph.node for output in node.output}
    division = owner[owner["probabilities"].input[0]]
    if division.op_type != "Div":
        raise ValueError(f"{path.name} does not divide its logits by a temperature")
    division.input[1] = _TEMPERATURE  # a new constant: the exporter shares equal ones between nodes
    graph.initializer.append(numpy_helper.from_array(np.array(temperature, np.float32), _TEMPERATURE))
    onnx.save(model, path)
