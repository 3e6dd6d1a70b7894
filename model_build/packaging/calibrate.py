"""Constants of a package that are fitted to data: the OOD terms, temperatures and thresholds."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model_build.data.datasets import eval_inputs
from model_build.data.labels import main_planes
from model_build.data.records import planes_of
from model_build.evaluation.calibration import (
    Acceptance,
    Calibration,
    fit_prediction_sets,
    fit_temperature,
    uncertain_limit,
)
from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore
from model_build.packaging.ood.fit import far_limit, fit_distance, fit_ood_score, score, score_left_out, score_limits
from model_build.packaging.ood.fitted import Fitted, OodTerms
from model_build.packaging.ood.outputs import Inference, OodData, Outputs
from model_build.packaging.trained_run import TrainedRun
from service.analysis.abstention import abstain_reason
from service.inference.engine import Scores
from service.schemas.answers import AbstainReason
from service.schemas.manifest import Abstention

_AUGMENTED = "augmented validation inputs"


def fit_ood_terms(data: OodData) -> OodTerms:
    """Return the OOD terms that the graph computes."""
    return OodTerms(fit_ood_score(data), fit_distance(data.train))


def calibrate(
    trained: TrainedRun, inference: Inference, terms: OodTerms, data: OodData, fitted: Fitted | None = None
) -> Calibration:
    """Choose temperatures and abstention thresholds, and measure what they accept of inputs that a fit left out.

    `data` is computed by `inference`. The constants of `fitted` are kept.
    """
    records, ids = trained.split.val, [plane.id for plane in trained.data.planes]
    strict, left_out = np.isin(ids, trained.recipe.strict_planes), score_left_out(data)
    served = inference.infer(eval_inputs(trained.load(records), trained.recipe.preprocessing))
    if fitted is not None:
        rule = Rule(terms.distance, fitted.temperature, fitted.thresholds)
    else:
        temperature = fit_temperature(served.logits.numpy(), planes_of(records))
        thresholds = Abstention(
            min_probability=uncertain_limit(softmax(served.logits.numpy() / temperature, axis=1)),
            max_ood_score=score_limits(terms.ood_score, data.val, left_out, strict),
            max_distance=far_limit(data),
        )
        rule = Rule(terms.distance, temperature, thresholds)
    accepted = []
    for each in left_out:
        limits = score_limits(each.ood_score, data.val, left_out, strict)
        accepted.append(rule.with_limits(limits).acceptance(each.name, each.ood_score, each.outputs))
    main = np.isin(data.val.planes, main_planes(ids) or range(len(ids)))
    of_planes = [
        rule.acceptance(
            f"{_AUGMENTED}: {plane.label}", terms.ood_score, data.val.outputs.select(data.val.planes == row)
        )
        for row, plane in enumerate(trained.data.planes)
    ]
    far = np.array([reason == "out-of-distribution" for reason in rule.reasons(terms.ood_score, served)])
    return Calibration(
        rule.temperature,
        rule.thresholds,
        rule.acceptance(_AUGMENTED, terms.ood_score, data.val.outputs.select(main)),
        tuple(of_planes),
        tuple(accepted),
        fit_prediction_sets(rule.probabilities(served), records, ~far),
        _sub_plane_temperature(trained, inference, fitted),
    )


def _sub_plane_temperature(trained: TrainedRun, inference: Inference, fitted: Fitted | None) -> float | None:
    """Return the temperature of the sub-plane head, None without one."""
    if trained.sub_plane_split is None:
        return None
    if fitted is not None and fitted.sub_plane_temperature is not None:
        return fitted.sub_plane_temperature
    val = trained.sub_plane_split.val
    return fit_temperature(inference.infer_sub_planes(trained.sub_plane_inputs(val)), planes_of(val))


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
        answered = np.array([reason is None for reason in self.reasons(ood_score, outputs)], np.bool_)
        counts = (
            np.bincount(rows, minlength=outputs.logits.shape[1]) for rows in (outputs.named, outputs.named[answered])
        )
        named, accepted = (tuple(map(int, each)) for each in counts)
        return Acceptance(name, named, accepted)

    def reasons(self, ood_score: OodScore, outputs: Outputs) -> list[AbstainReason | None]:
        """Return for each input why the service would abstain, None where it would answer."""
        terms = score(ood_score, outputs).tolist(), self.distance.of(outputs.descriptors).tolist()
        rows = [Scores(*row) for row in zip(self.probabilities(outputs), *terms, strict=True)]
        return [abstain_reason(row, self.thresholds) for row in rows]

    def probabilities(self, outputs: Outputs) -> NDArray[np.float32]:
        """Return the calibrated probabilities, float32 [N, K]."""
        return np.asarray(softmax(outputs.logits.numpy() / self.temperature, axis=1))
