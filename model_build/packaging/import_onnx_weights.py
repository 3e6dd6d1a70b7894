"""Turn a model package back into a run directory: the exported graphs hold every weight under its name.

The manifest may be of an older format than the service reads, so that a network can be packaged again.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from pydantic import BaseModel
from torch import Tensor, nn

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.labels import SUB_PLANES
from model_build.data.splits import Split, make_split, split_stretched
from model_build.models.batchnorm import norm_pairs
from model_build.models.efficientnet import Backbone
from model_build.models.multi_task import MultiTaskNetwork, create_network
from model_build.new_run import check_new
from model_build.packaging.ood.fitted import write_fitted
from model_build.packaging.parity import ExportError
from model_build.packaging.sub_planes import SUB_PLANES_FILE
from model_build.recipe import Recipe
from model_build.run_dir import SplitKind, start_run, write_network, write_splits
from service.inference.package import CLASSIFIER, MANIFEST, PackageError, load_package
from service.inference.session import open_session
from service.schemas.manifest import Planes, Preprocessing, TrainingData

_TOLERANCE = 1e-3  # of a logit
# Names of modules in the graphs of model 0.4.0 and before, and their names today.
_RENAMED = {"perceptron": "mlp", "net.": "head.", "glances": "pools", "weights.": "queries.", "last.": "linear."}
_RENAMED |= {"standard": "norm"}


class _Described(BaseModel):
    """The fields of a manifest that every format has."""

    planes: Planes
    preprocessing: Preprocessing
    training_data: TrainingData


def import_onnx_weights(package: Path, recipe: Recipe, run: Path, data: Path, stretched: Path | None = None) -> None:
    """Write a run directory with the network of a package and the split of `recipe`, which the package was trained by.

    The run also keeps the package's fitted constants, so that `package` gives the same answers again.

    Raises
    ------
    ValueError
        The manifest lacks a field, or the recipe has another network, preprocessing or number of training frames.
    ExportError
        The network does not compute what the package's graph does.
    """
    manifest = _Described.model_validate_json((package / MANIFEST).read_text("utf-8"))
    index = read_data(data)
    if manifest.preprocessing != recipe.preprocessing:
        raise ValueError(f"{package} was not trained by this recipe: its preprocessing differs")
    split = make_split(index, recipe)
    if len(split.train) != manifest.training_data.train_frames:
        raise ValueError(f"{package} was not trained on this split of {data}: the number of training frames differs")
    network = read_network(package, recipe, len(manifest.planes))
    splits: dict[SplitKind, tuple[Split, Path]] = {"frames": (split, index.folder)}
    if stretched:
        splits["stretched_frames"] = (split_stretched(read_stretched(stretched), split), stretched)
    check_new(run)
    start_run(run, recipe, manifest.planes)
    write_splits(run, splits)
    with suppress(PackageError):  # a package of an older format lacks constants of today's rule: they are fitted again
        write_fitted(run, load_package(package).manifest, read_weights(package / CLASSIFIER))
    write_network(run, network)


def read_network(package: Path, recipe: Recipe, planes: int) -> MultiTaskNetwork:
    """Return the network of a package for K planes, with folded BatchNorms: train it in evaluation mode only.

    Raises ValueError where a weight is missing or has another shape, and ExportError where the logits differ.
    """
    head, weights = package / SUB_PLANES_FILE, read_weights(package / CLASSIFIER)
    network = create_network(recipe.network, planes, len(SUB_PLANES) if head.exists() else 0).eval()
    try:
        with torch.no_grad():
            _copy(network.classifier.named_parameters(), weights, skip="_bn")
            _copy_biases(network.classifier.backbone, weights)
            if network.sub_planes is not None:
                named = {f"head.{name}": value for name, value in network.sub_planes.state_dict().items()}
                _copy(named.items(), read_weights(head), skip="num_batches_tracked")
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{package} has another network than the recipe: {error}") from error
    _require_same_logits(network, package / CLASSIFIER, recipe.preprocessing.size)
    return network


def read_weights(graph: Path) -> dict[str, Tensor]:
    """Return the weights of a graph under today's names."""
    found = {}
    for each in onnx.load(graph).graph.initializer:
        name = each.name
        for old, new in _RENAMED.items():
            name = name.replace(old, new)
        found[name] = torch.from_numpy(numpy_helper.to_array(each).copy())
    return found


def _copy(parameters: Iterable[tuple[str, Tensor]], weights: Mapping[str, Tensor], skip: str) -> None:
    for name, parameter in parameters:
        if skip not in name:
            parameter.copy_(weights[name])


def _copy_biases(backbone: Backbone, weights: Mapping[str, Tensor]) -> None:
    """Set each BatchNorm to add the bias of the folded convolution, as `fold_batchnorm` leaves it."""
    names = {module: name for name, module in backbone.named_modules()}
    for owner, convolution, norm in norm_pairs(backbone):
        bn = owner.get_submodule(norm)
        assert isinstance(bn, nn.BatchNorm2d)
        bn.bias.copy_(weights[".".join(filter(None, ("backbone", names[owner], convolution, "bias")))])
        bn.weight.fill_(1)
        bn.get_buffer("running_mean").zero_()
        bn.get_buffer("running_var").fill_(1 - bn.eps)


def _require_same_logits(network: MultiTaskNetwork, graph: Path, size: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, size, size), np.uint8)
    expected = open_session(graph.read_bytes(), CLASSIFIER).run(["logits"], {"frames": frames})[0]
    with torch.inference_mode():
        found = network.classifier(torch.from_numpy(frames).float()).numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= _TOLERANCE:
        raise ExportError(f"the network that was read differs from {graph} by {difference:.1e} in a logit")
