"""A model package becomes a run again: its graph keeps the weights, by their names."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from torch import nn

from model_build.export import ExportError
from model_build.joint import JointNetwork, blank_network
from model_build.norms import norm_pairs, set_bias
from model_build.recipe import Network, Recipe
from model_build.run_folder import write_network, write_planes, write_recipe
from service.inference.package import CLASSIFIER, load_package

_TOLERANCE = 1e-3  # of a logit


def reopen(package: Path, recipe: Recipe, run: Path) -> None:
    """Write the folder of a run whose network is a package's, without a head for sub-planes.

    Parameters
    ----------
    recipe
        The one that the package was trained by; a package does not hold it.

    Raises
    ------
    PackageError
        The folder is no sound model package.
    ValueError
        The recipe prepares frames otherwise than the package, or has another network.
    ExportError
        The network does not compute what the package's graph does.
    """
    manifest = load_package(package).manifest
    if manifest.preprocessing != recipe.preprocessing:
        raise ValueError(f"{package} was not trained by this recipe: it prepares frames otherwise")
    network = read_weights(package / CLASSIFIER, recipe.network, len(manifest.planes))
    _require_same(network, package / CLASSIFIER, recipe.preprocessing.size)
    write_recipe(run, recipe)
    write_planes(run, manifest.planes)
    write_network(run, network)


def read_weights(graph: Path, network: Network, planes: int) -> JointNetwork:
    """The network of a `classifier.onnx`; raises ValueError where a weight is missing or of another shape."""
    found = {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in onnx.load(graph).graph.initializer
    }
    read = blank_network(network, planes, sub_planes=False).eval()
    try:
        with torch.no_grad():
            for name, parameter in read.classifier.named_parameters():
                if "_bn" not in name:
                    parameter.copy_(found[name])
            for owner, convolution, norm in norm_pairs(read.classifier.backbone):
                bn = owner.get_submodule(norm)
                assert isinstance(bn, nn.BatchNorm2d)
                prefix = next(name for name, module in read.classifier.named_modules() if module is owner)
                set_bias(bn, found[f"{prefix}.{convolution}.bias"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{graph} is of another network than the recipe's: {error}") from error
    return read


def _require_same(network: JointNetwork, graph: Path, size: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, size, size), dtype=np.uint8)
    (expected,) = ort.InferenceSession(graph).run(["logits"], {"frames": frames})
    with torch.inference_mode():
        found = network.classifier(torch.from_numpy(frames).float()).numpy()
    worst = float(np.abs(found - expected).max())
    if not worst <= _TOLERANCE:
        raise ExportError(f"the network that was read differs from {graph} by {worst:.1e} in a logit")
