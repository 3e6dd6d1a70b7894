"""Training: several small nets on maps of the frozen backbone, each without the patients of one fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn
from tqdm import tqdm

from model_build.calibrate import fit_temperature
from model_build.subplanes.frames import SUB_PLANES, Maps
from model_build.subplanes.head import Standard, SubPlaneNet, side_by_side

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fitting:
    """How the nets are trained; chosen by the held-out patients of the folds."""

    folds: int = 5
    epochs: int = 30
    batch: int = 48
    rate: float = 4e-3
    decay: float = 0.05
    smoothing: float = 0.1


@dataclass(frozen=True, eq=False)
class Fitted:
    """The joint net, its temperature, and what each net said of the patients that it had not seen.

    Attributes
    ----------
    net, temperature
        Ready to be exported.
    held
        Logits float32 [N, M] of the training frames, each by the one net that had not seen its patient.
    """

    net: SubPlaneNet
    temperature: float
    held: NDArray[np.float32]


def fit(
    served: Sequence[torch.Tensor],
    varied: Sequence[Maps],
    labels: Ints,
    rows: Ints,
    patients: Sequence[str],
    how: Fitting,
) -> Fitted:
    """Train one net a fold.

    Parameters
    ----------
    served
        The maps of the N training frames as served, each float32 [N, C, h, w].
    varied
        Maps of varied views; `rows` says which of their rows the N frames are.
    labels, patients
        Sub-planes int64 [N], and whose frames they are: no patient stands in two folds.
    """
    splitter = StratifiedGroupKFold(how.folds, shuffle=True, random_state=0)
    held = np.zeros((len(labels), len(SUB_PLANES)), np.float32)
    nets = []
    for seed, (own, others) in enumerate(splitter.split(labels, labels, patients)):
        net = _train(served, varied, labels, rows, own, how, seed)
        with torch.inference_mode():
            held[others] = net(*(maps[others] for maps in served)).numpy()
        nets.append(net)
    return Fitted(side_by_side(nets), fit_temperature(held, labels), held)


def _train(
    served: Sequence[torch.Tensor], varied: Sequence[Maps], labels: Ints, rows: Ints, own: Ints, how: Fitting, seed: int
) -> SubPlaneNet:
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    net = Standard(SubPlaneNet([maps.shape[1] for maps in served], len(SUB_PLANES)), [maps[own] for maps in served])
    optimizer = torch.optim.AdamW(net.parameters(), lr=how.rate, weight_decay=how.decay)
    batches = max(1, len(own) // how.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.rate, total_steps=how.epochs * batches, pct_start=0.1)
    counts = np.bincount(labels[own], minlength=len(SUB_PLANES))
    weight = torch.tensor((counts.mean() / np.maximum(counts, 1)) ** 0.5, dtype=torch.float32)
    criterion = nn.CrossEntropyLoss(weight, label_smoothing=how.smoothing)
    net.train()
    for _ in tqdm(range(how.epochs), desc=f"fold {seed + 1}/{how.folds}", disable=None, leave=False):
        for batch in np.array_split(random.permutation(own), batches):
            view = int(random.integers(len(varied) + 1))
            maps = [each[batch] for each in served] if view == len(varied) else varied[view].of(rows[batch])
            if random.random() < 0.5:
                maps = [each.flip(3) for each in maps]  # a mirrored frame has, nearly, mirrored maps
            loss = criterion(net(*maps), torch.from_numpy(labels[batch]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.folded().eval()
