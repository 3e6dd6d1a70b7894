"""A phantom that has learnt a few drawings by heart, so that pages with plausible answers can be shown and tested."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support.drawn_frames import scan
from tests.support.phantom_package import PLANES, STRIDE, Phantom

KINDS = {"belly": 0, "head": 1, "femur": 2, "chest": 3, "neck": 4}
"""What is drawn, and the plane that it stands for."""

_PER_KIND = 12
_PATCHES = 8  # kernels from each kind
_STEPS = 400
_KEPT_WEIGHT = 0.004  # of each weight's square, in the loss: less would make every answer a certainty


class Artist(Phantom):
    """A phantom whose kernels are pieces of `scan(kind, seed)`, seeds 0 to 11, and whose head is fitted to these."""

    def __init__(self) -> None:
        super().__init__(crop="sector", temperature=1.0, min_probability=0.6)
        self.kernels = _kernels(np.random.default_rng(0))
        self.head = _fit(self)

    def manifest(self) -> dict[str, Any]:
        """As the phantom's, with figures of its own: they are true of the drawings and of nothing else."""
        count = len(KINDS) * _PER_KIND
        figures = [{"metric": "top1", "subset": "main", "split": "drawings", "n": count, "value": self.share_right()}]
        data = {"name": "drawings made by arithmetic", "train_frames": count}
        manifest = super().manifest()
        return manifest | {"metrics": figures, "training_data": manifest["training_data"] | data}

    def share_right(self) -> float:
        """Of the drawings, how many are answered with their plane."""
        frames, planes = _drawings()
        return float(
            np.mean([self.probabilities(frame).argmax() == plane for frame, plane in zip(frames, planes, strict=True)])
        )


@cache
def _drawings() -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    preprocessing = Preprocessing(size=64, crop="sector")
    pairs = [
        (crop_and_letterbox(scan(kind, seed=seed), preprocessing)[0], plane)
        for kind, plane in KINDS.items()
        for seed in range(_PER_KIND)
    ]
    return [frame for frame, _ in pairs], np.array([plane for _, plane in pairs])


def _kernels(rng: np.random.Generator) -> NDArray[np.float32]:
    """Patches from the middle of the drawings, each the most contrasted of a few; float32 [C, 1, 8, 8]."""
    frames, planes = _drawings()
    kernels = []
    for plane in KINDS.values():
        for _ in range(_PATCHES):
            frame = frames[rng.choice(np.flatnonzero(planes == plane))] / 255
            corners = rng.integers(2, 6, (6, 2)) * STRIDE
            patches = [frame[y : y + STRIDE, x : x + STRIDE] for y, x in corners]
            best = max((patch - patch.mean() for patch in patches), key=np.linalg.norm)
            kernels.append(best / np.linalg.norm(best))
    return np.array(kernels, np.float32)[:, None]


def _fit(phantom: Phantom) -> NDArray[np.float32]:
    """Multinomial logistic regression on the pooled features, by steps along the whitened gradient."""
    frames, planes = _drawings()
    pooled = np.stack([phantom.features(frame).mean((1, 2)) for frame in frames]).astype(np.float64)
    spread = pooled.std(0)
    inputs, wanted = pooled / spread, np.eye(len(PLANES))[planes]
    whiten = np.linalg.inv(inputs.T @ inputs / len(inputs) + 1e-3 * np.eye(inputs.shape[1]))
    weights = np.zeros((inputs.shape[1], len(PLANES)))
    for _ in range(_STEPS):
        powers = np.exp(inputs @ weights)
        error = powers / powers.sum(1, keepdims=True) - wanted
        weights -= 0.5 * whiten @ (inputs.T @ error / len(inputs) + _KEPT_WEIGHT * weights)
    return np.asarray(weights / spread[:, None], np.float32)
