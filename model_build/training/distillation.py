"""The teacher of a distillation: the mean of a trained network and a logistic probe on frozen SonoNet-16 features.

The probe is fitted to augmented views of training frames, so no validation patient teaches anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from model_build.data.datasets import augmented_inputs
from model_build.data.records import Dataset, planes_of
from model_build.models.batchnorm import is_folded
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import predict
from model_build.models.multi_task import MultiTaskNetwork
from model_build.models.sononet import SonoNet16
from model_build.recipe import Distillation, Recipe
from model_build.run_dir import RunError, read_model, read_network, read_planes, read_recipe
from service.schemas.file_names import path_text

_VIEWS = 2  # augmented inputs per training frame
_INVERSE_REGULARIZATION = 0.1
_MIN_PROBABILITY = 1e-12

PROBE = "probe.pt"


@dataclass(frozen=True)
class TeacherFiles:
    """Where the parts of a teacher are."""

    run: Path  # a finished run with the same planes, such as that of `import-weights`
    sononet: Path | None = None  # the published weights; needed if the recipe gives the probe a weight


class Probe(nn.Module):
    """Logits of a linear layer on SonoNet-16 features: gray levels [N, 1, S, S] to [N, K]."""

    def __init__(self, sononet: SonoNet16, planes: int) -> None:
        super().__init__()
        self.sononet = sononet
        self.linear = nn.Linear(SonoNet16.num_features, planes)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits [N, K]; the features are computed in bfloat16, where half of the time is enough."""
        with torch.autocast(frames.device.type, torch.bfloat16):
            features = self.sononet(frames)
        logits: Tensor = self.linear(features.float())
        return logits

    def fit(self, data: Dataset, recipe: Recipe) -> None:
        """Fit the layer to augmented views of frames."""
        # Every seed of a recipe has the same teacher.
        inputs = augmented_inputs(data, recipe.model_copy(update={"seed": 0}), _VIEWS)
        with torch.autocast("cpu", torch.bfloat16):
            features = predict(self.sononet, inputs).numpy()
        mean, std = features.mean(0), features.std(0) + 1e-6
        fitted = LogisticRegression(C=_INVERSE_REGULARIZATION, max_iter=1000)
        fitted.fit((features - mean) / std, np.tile(planes_of(data.records), _VIEWS))
        weight, bias = fitted.coef_ / std, fitted.intercept_ - fitted.coef_ / std @ mean
        if len(bias) == 1:  # of two planes, scikit-learn has the second one's logit alone
            weight, bias = np.concatenate((0 * weight, weight)), np.append(0, bias)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(weight))
            self.linear.bias.copy_(torch.from_numpy(bias))


class Teacher(nn.Module):
    """The mean of the probabilities of a network, over views and their mirror images, and of a probe."""

    def __init__(self, network: PlaneClassifier, probe: Probe | None, settings: Distillation) -> None:
        super().__init__()
        self.network, self.probe, self.settings = network, probe, settings
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Return log-probabilities [N, K] of gray levels [N, 1, S, S]."""
        soft: Tensor = self.network(frames).softmax(1)
        if self.settings.mirrored:
            soft = soft.add(self.network(frames.flip(3)).softmax(1)).div(2)
        if self.probe is not None:
            soft = soft.lerp(self.probe(frames).softmax(1), self.settings.probe_weight)
        return soft.clamp(min=_MIN_PROBABILITY).log()

    def write_probe(self, file: Path) -> None:
        """Write the weights of the probe, if the teacher has one: a resumed run does not fit it again."""
        if self.probe is not None:
            torch.save(self.probe.linear.state_dict(), file)


def read_teacher(files: TeacherFiles | None, recipe: Recipe, data: Dataset, probe_file: Path | None = None) -> Teacher:
    """Return the teacher of a recipe that has a distillation.

    `data` are training frames; those with a plane fit the probe. If `probe_file` exists, it is read instead. Raises
    RunError where the teacher is an unfinished run, and ValueError where the recipe needs a file that is not given.
    """
    assert recipe.distillation is not None
    if files is None:
        raise ValueError("the recipe has a distillation: name the teacher's run with --teacher")
    network = read_model(files.run)
    if recipe.distillation.probe_weight == 0:
        return Teacher(network, None, recipe.distillation)
    if files.sononet is None:
        raise ValueError("the recipe's distillation has a probe on SonoNet-16: give its weights with --sononet")
    probe = Probe(SonoNet16.read(files.sononet), len(read_planes(files.run)))
    if probe_file is not None and probe_file.is_file():
        probe.linear.load_state_dict(torch.load(probe_file, weights_only=True))
    else:
        rows = [row for row, record in enumerate(data.records) if not record.stretched]
        probe.fit(Dataset([data.frames[row] for row in rows], [data.records[row] for row in rows]), recipe)
    return Teacher(network, probe, recipe.distillation)


def teacher_of(runs: Sequence[Path], files: TeacherFiles) -> Teacher:
    """Return the teacher of the first of `runs` that was distilled; raises RunError where none was."""
    for run in runs:
        if (recipe := read_recipe(run)).distillation is not None and (run / PROBE).is_file():
            return read_teacher(files, recipe, Dataset([], []), run / PROBE)
    raise RunError(f"none of the runs was distilled with a probe: {', '.join(path_text(run) for run in runs)}")


def start_from(network: MultiTaskNetwork, run: Path, recipe: Recipe) -> None:
    """Give a network the weights of a finished run of the same architecture.

    Raises RunError where the run is unfinished or has another network, and ValueError where the BatchNorms of the run
    are folded and the recipe would estimate their statistics.
    """
    if read_recipe(run).network != recipe.network:
        raise RunError(f"{run} has another network than the recipe: a training cannot start from it")
    start = read_network(run)
    if is_folded(start.classifier.backbone) and not recipe.training.fixed_norms:
        raise ValueError(f"{run} has no BatchNorm statistics: a training that starts from it needs fixed_norms = true")
    network.classifier.load_state_dict(start.classifier.state_dict())
    if network.sub_planes is not None and start.sub_planes is not None:
        network.sub_planes.load_state_dict(start.sub_planes.state_dict())
