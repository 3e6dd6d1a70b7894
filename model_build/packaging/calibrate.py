"""Constants of a package that are fitted to data: the OOD terms, temperatures and thresholds."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model_build.data.datasets import eval_inputs
from model_build.data.labels import main_planes
from model_build.data.records import planes_of
from model_build.evaluation.calibration import Acceptance, Calibration, fit_temperature, uncertain_limit
from model_build.evaluation.sub_planes import predict_sub_planes
from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore
from model_build.packaging.ood.fit import far_limit, fit_distance, fit_ood_score, score, score_left_out, score_limits
from model_build.packaging.ood.outputs import OodData, Outputs, infer
from model_build.packaging.trained_run import TrainedRun
from service.analysis.abstention import abstain_reason
from service.inference.engine import Scores
from service.schemas.manifest import Abstention


@dataclass(frozen=True, eq=False)
class OodTerms:
    """What the graph says about inputs that are not frames of the planes."""

    ood_score: OodScore
    distance: Distance


def fit_ood_terms(data: OodData) -> OodTerms:
    """Return the OOD terms that the graph computes."""
    return OodTerms(fit_ood_score(data), fit_distance(data.train))


def calibrate(trained: TrainedRun, terms: OodTerms, data: OodData) -> Calibration:
    """Choose temperatures and abstention thresholds, and measure what they accept of inputs that a fit left out."""
    records = trained.split.val
    logits = infer(trained.network.classifier, eval_inputs(trained.load(records), trained.recipe.preprocessing)).logits
    temperature = fit_temperature(logits.numpy(), planes_of(records))
    ids = [plane.id for plane in trained.data.planes]
    strict, left_out = np.isin(ids, trained.recipe.strict_planes), score_left_out(data)
    rule = Rule(
        terms.distance,
        temperature,
        Abstention(
            min_probability=uncertain_limit(softmax(logits.numpy() / temperature, axis=1)),
            max_ood_score=score_limits(terms.ood_score, data.val, left_out, strict),
            max_distance=far_limit(data),
        ),
    )
    main = data.val.outputs.select(np.isin(data.val.planes, main_planes(ids) or range(len(ids))))
    augmented = rule.acceptance("augmented validation inputs", terms.ood_score, main)
    accepted = []
    for each in left_out:
        limits = score_limits(each.ood_score, data.val, left_out, strict)
        accepted.append(rule.with_limits(limits).acceptance(each.name, each.ood_score, each.outputs))
    calibration = Calibration(temperature, rule.thresholds, augmented, tuple(accepted))
    if trained.sub_plane_split is None:
        return calibration
    val = trained.sub_plane_split.val
    sub_plane_logits = predict_sub_planes(trained.network, trained.sub_plane_inputs(val))
    return replace(calibration, sub_plane_temperature=fit_temperature(sub_plane_logits, planes_of(val)))


@dataclass(frozen=True, eq=False)
class Rule:
    """The abstention of a package, applied to outputs of its network."""

    distance: Distance
    temperature: float
    thresholds: Abstention

    def with_limits(self, max_ood_score: tuple[float, ...]) -> "Rule":
        """Return the rule with other limits of the score."""
        return replace(self, thresholds=self.thresholds.model_copy(update={"max_ood_score": max_ood_score}))

    def acceptance(self, name: str, ood_score: OodScore, outputs: Outputs) -> Acceptance:
        """Return how many of the inputs the service would answer."""
        probabilities: NDArray[np.float32] = softmax(outputs.logits.numpy() / self.temperature, axis=1)
        terms = score(ood_score, outputs).tolist(), self.distance.of(outputs.descriptors).tolist()
        rows = [Scores(*row) for row in zip(probabilities, *terms, strict=True)]
        accepted = [abstain_reason(row, self.thresholds) is None for row in rows]
        return Acceptance(name, len(accepted), sum(accepted))
