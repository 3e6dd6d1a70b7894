"""The outputs of a quantized graph, for the fits that PyTorch's outputs are used in elsewhere."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_build.models.distance import Distance
from model_build.models.sub_plane_head import MAPS
from model_build.packaging.ood.outputs import Outputs
from service.inference.package import CLASSIFIER
from service.inference.session import Floats, open_session

_BATCH_SIZE = 8


class GraphInference:
    """A classifier graph; the sub-plane head runs in PyTorch, on its feature maps."""

    def __init__(self, classifier: bytes, sub_planes: nn.Module | None) -> None:
        self._session = open_session(classifier, CLASSIFIER)
        self._sub_planes = sub_planes

    def infer(self, inputs: Tensor) -> Outputs:
        """Return the outputs for inputs uint8 [N, 1, S, S]."""
        rows = []
        for logits, features, stage5 in self._run(["logits", "features", "stage5"], inputs):
            rows.append((logits, features.mean((2, 3)), Distance.describe(stage5)))
        return Outputs(*(torch.cat(each) for each in zip(*rows, strict=True)))

    def infer_sub_planes(self, inputs: Tensor) -> NDArray[np.float32]:
        """Return logits of the sub-planes, float32 [N, M], for inputs uint8 [N, 1, S, S]."""
        assert self._sub_planes is not None
        with torch.inference_mode():
            return torch.cat([self._sub_planes(*stages) for stages in self._run(list(MAPS), inputs)]).numpy()

    def _run(self, names: list[str], inputs: Tensor) -> Iterator[list[Tensor]]:
        """Yield the outputs with these names, batch by batch."""
        for batch in torch.split(inputs, _BATCH_SIZE):
            outputs: list[Floats] = self._session.run(names, {"frames": batch.numpy()})
            yield [torch.from_numpy(each) for each in outputs]
