"""A tiny model fitted to the drawn frames, so that the page can be shown and tested with plausible answers."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.imaging.letterbox import crop_and_letterbox
from service.sample.frames import draw_frame
from service.schemas.manifest import Preprocessing
from tests.support.phantom_package import PLANES, STRIDE, Phantom

KINDS = {"abdomen": 0, "brain": 1, "femur": 2, "thorax": 3, "cervix": 4}
"""Kinds of drawn frames, each with the index of its plane."""

UNSURE = ("brain", 25)
"""Kind and seed of a drawn frame for which no plane is probable enough."""

_SEEDS = 12  # drawn frames of each kind that the model is fitted to
_KERNELS_PER_KIND = 8
_STEPS = 400
_L2 = 0.004  # weight of the penalty; less of it would make every answer a certainty


class DrawnModel(Phantom):
    """A phantom with patches of the drawn frames (seeds 0 to 11) as kernels and a head fitted to these frames."""

    def __init__(self) -> None:
        super().__init__(crop="sector", temperature=1.0, min_probability=0.6)
        self.kernels = _kernels(np.random.default_rng(0))
        self.head = _fit_head(self)

    def manifest(self) -> dict[str, Any]:
        """Return the phantom's manifest with metrics and training data that are true of the drawings alone."""
        count = len(KINDS) * _SEEDS
        metrics = [{"metric": "top1", "subset": "main", "split": "drawings", "n": count, "value": self.accuracy()}]
        data = {"name": "drawn frames", "train_frames": count}
        manifest = super().manifest()
        return manifest | {"metrics": metrics, "training_data": manifest["training_data"] | data}

    def accuracy(self) -> float:
        """Return the share of the drawn frames whose most probable plane is the right one."""
        frames, planes = _training_set()
        return float(np.mean([self.probabilities(frame).argmax() for frame in frames] == planes))


@cache
def _training_set() -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    preprocessing = Preprocessing(size=64, crop="sector")
    kinds = [(kind, seed) for kind in KINDS for seed in range(_SEEDS)]
    frames = [crop_and_letterbox(draw_frame(kind, seed=seed), preprocessing)[0] for kind, seed in kinds]
    return frames, np.array([KINDS[kind] for kind, _ in kinds])


def _kernels(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return patches from the middle of the frames, each the most contrasted of six; float32 [C, 1, 8, 8]."""
    frames, planes = _training_set()
    kernels = []
    for plane in KINDS.values():
        for _ in range(_KERNELS_PER_KIND):
            frame = frames[rng.choice(np.flatnonzero(planes == plane))] / 255
            corners = rng.integers(2, 6, (6, 2)) * STRIDE
            patches = [frame[y : y + STRIDE, x : x + STRIDE] for y, x in corners]
            best = max((patch - patch.mean() for patch in patches), key=np.linalg.norm)
            kernels.append(best / np.linalg.norm(best))
    return np.array(kernels, np.float32)[:, None]


def _fit_head(phantom: Phantom) -> NDArray[np.float32]:
    """Fit a multinomial logistic regression to the pooled features, by steps along the whitened gradient."""
    frames, planes = _training_set()
    pooled = np.stack([phantom.features(frame).mean((1, 2)) for frame in frames]).astype(np.float64)
    deviation = pooled.std(0)
    inputs, targets = pooled / deviation, np.eye(len(PLANES))[planes]
    whiten = np.linalg.inv(inputs.T @ inputs / len(inputs) + 1e-3 * np.eye(inputs.shape[1]))
    weights = np.zeros((inputs.shape[1], len(PLANES)))
    for _ in range(_STEPS):
        powers = np.exp(inputs @ weights)
        error = powers / powers.sum(1, keepdims=True) - targets
        weights -= 0.5 * whiten @ (inputs.T @ error / len(inputs) + _L2 * weights)
    return np.asarray(weights / deviation[:, None], np.float32)
