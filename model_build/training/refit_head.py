"""The head for sub-planes, taught anew on a finished network: where weights were averaged, the maps are others."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model_build.data.datasets import AugmentedDataset
from model_build.data.records import SUB_PLANES, Record
from model_build.models.multi_task import MultiTaskNetwork, mean_loss
from model_build.models.sub_plane_head import SubPlaneNet
from model_build.recipe import Recipe

Frame = NDArray[np.uint8]

_VIEWS = 4  # of every frame; what the backbone makes of them is computed once
_EPOCHS = 12  # over all views
_BATCH = 48
_RATE, _DECAY, _SMOOTHING = 2e-3, 0.05, 0.1


def refit(
    network: MultiTaskNetwork, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe
) -> None:
    """Replace the network's head by one that is trained on its backbone as it stands; the planes stay as they are.

    Parameters
    ----------
    frames, records
        Training frames uint8 [H, W], each with a sub-plane.
    """
    torch.manual_seed(recipe.seed)
    labels = torch.tensor([record.sub_plane for record in records]).repeat(_VIEWS)
    forward_features = _maps(network, AugmentedDataset(frames, records, recipe))
    net = SubPlaneNet(network.classifier.backbone.map_channels, len(SUB_PLANES)).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    steps = _EPOCHS * (len(labels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=max(2, steps), pct_start=0.1)
    for _ in tqdm(range(_EPOCHS), desc="head for sub-planes", unit="epoch", disable=None, leave=False):
        for rows in torch.split(torch.randperm(len(labels)), _BATCH):
            if len(rows) < _BATCH:
                continue
            loss = mean_loss(net(*(each[rows].float() for each in forward_features)), labels[rows], _SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    network.sub_planes = net.eval()


@torch.inference_mode()
def _maps(network: MultiTaskNetwork, views: AugmentedDataset, batch: int = 16) -> list[Tensor]:
    """What stages four to six give of `_VIEWS` views of every frame, float16 [_VIEWS * N, C, h, w] each."""
    network.eval()
    parts: list[list[Tensor]] = []
    for epoch in range(_VIEWS):
        views.epoch = epoch
        title = f"views {epoch + 1}/{_VIEWS}"
        for first in tqdm(range(0, len(views), batch), desc=title, disable=None, leave=False):
            frames = torch.stack([views[row][0] for row in range(first, min(first + batch, len(views)))])
            *forward_features, _ = network.classifier.backbone.forward_features(
                frames.to(torch.float32, memory_format=torch.channels_last)
            )
            parts.append([each.half() for each in forward_features])
    return [torch.cat(column).clone() for column in zip(*parts, strict=True)]
