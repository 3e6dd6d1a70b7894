"""Export of the sub-plane head to `sub_planes.onnx`."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.models.multi_task import MultiTaskNetwork
from model_build.models.sub_plane_head import MAPS, ServedSubPlanes
from model_build.packaging.onnx_export import export_graph
from model_build.packaging.parity import check_probabilities
from service.inference.package import CLASSIFIER
from service.inference.session import open_session

SUB_PLANES_FILE = "sub_planes.onnx"


def export_sub_planes(network: MultiTaskNetwork, temperature: float, folder: Path, inputs: NDArray[np.uint8]) -> None:
    """Write `sub_planes.onnx` next to `classifier.onnx`; raise ExportError if it differs from PyTorch.

    The graph is traced and compared on the stage features of `inputs`, uint8 [N, 1, S, S].
    """
    assert network.sub_planes is not None
    served = ServedSubPlanes(network.sub_planes, temperature).eval()
    features = open_session((folder / CLASSIFIER).read_bytes(), CLASSIFIER).run(list(MAPS), {"frames": inputs})
    tensors = {name: torch.from_numpy(each) for name, each in zip(MAPS, features, strict=True)}
    export_graph(served, tensors, ["probabilities"], folder / SUB_PLANES_FILE)
    session = open_session((folder / SUB_PLANES_FILE).read_bytes(), SUB_PLANES_FILE)
    one_by_one = [  # as served; the trace had all frames in one batch
        session.run(None, {name: each[row : row + 1].numpy() for name, each in tensors.items()})[0]
        for row in range(len(inputs))
    ]
    with torch.no_grad():
        expected = served(*tensors.values()).numpy()
    check_probabilities(SUB_PLANES_FILE, np.concatenate(one_by_one), expected)
