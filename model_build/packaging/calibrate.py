"""Constants of a package that are fitted to data: the OOD score, temperatures and thresholds."""

import numpy as np
from scipy.special import softmax
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.calibration import Calibration, choose_abstention, fit_temperature
from model_build.evaluation.sub_planes import predict_sub_planes
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import in_batches
from model_build.models.ood_score import OodScore
from model_build.packaging.trained_run import TrainedRun

_AUGMENTED_PER_FRAME = 4


def fit_ood_score(trained: TrainedRun) -> OodScore:
    """Fit the OOD score to augmented training inputs."""
    records = trained.split.train
    inputs = augmented_inputs(Dataset(trained.load(records), records), trained.recipe, _AUGMENTED_PER_FRAME)
    logits, descriptors = infer(trained.network.classifier, inputs)
    return OodScore.fit(descriptors, logits, np.tile(planes_of(records), _AUGMENTED_PER_FRAME))


def calibrate(trained: TrainedRun, ood_score: OodScore) -> Calibration:
    """Choose temperatures and abstention thresholds on the validation frames."""
    records, model = trained.split.val, trained.network.classifier
    frames = trained.load(records)
    logits = infer(model, eval_inputs(frames, trained.recipe.preprocessing))[0].numpy()
    temperature = fit_temperature(logits, planes_of(records))
    augmented = augmented_inputs(Dataset(frames, records), trained.recipe, _AUGMENTED_PER_FRAME)
    augmented_logits, descriptors = infer(model, augmented)
    scores = ood_score.combine(descriptors, augmented_logits).numpy()
    abstention = choose_abstention(softmax(logits / temperature, axis=1), scores)
    if trained.sub_plane_split is None:
        return Calibration(temperature, abstention)
    val = trained.sub_plane_split.val
    sub_plane_logits = predict_sub_planes(trained.network, trained.sub_plane_inputs(val))
    return Calibration(temperature, abstention, fit_temperature(sub_plane_logits, planes_of(val)))


def infer(model: PlaneClassifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [N, K] and OOD descriptors [N, 2 C] of inputs uint8 [N, 1, S, S]."""

    def compute(frames: Tensor) -> tuple[Tensor, Tensor]:
        _, stage5, _, features = model.backbone.forward_features(frames)
        return model.head(features), OodScore.describe(stage5)

    logits, descriptors = in_batches(model, compute, inputs)
    return logits, descriptors
