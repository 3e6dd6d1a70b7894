"""The constants of a package that were fitted to data, kept in a run that was imported from the package.

Fits depend on the crop and the augmentation of the code that runs them, so a second fit differs in the last digits. A
package that is built again to state more about the same model must answer as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore
from service.schemas.manifest import Abstention, Manifest

_FILE = "fitted.pt"
_TERMS = ("ood_score.", "distance.")  # how the names of their weights begin


@dataclass(frozen=True, eq=False)
class OodTerms:
    """What the graph says about inputs that are not frames of the planes."""

    ood_score: OodScore
    distance: Distance


@dataclass(frozen=True, eq=False)
class Fitted:
    """The constants that decide how a package answers, apart from the weights of its network."""

    terms: OodTerms
    temperature: float
    thresholds: Abstention
    sub_plane_temperature: float | None


def write_fitted(run: Path, manifest: Manifest, weights: Mapping[str, Tensor]) -> None:
    """Write the constants of a package into a run; `weights` are those of its `classifier.onnx`, by name."""
    terms = {name: value for name, value in weights.items() if name.startswith(_TERMS)}
    stated = {
        "temperature": manifest.temperature,
        "abstention": manifest.abstention.model_dump(),
        "sub_plane_temperature": manifest.sub_planes.temperature if manifest.sub_planes else None,
    }
    torch.save({"terms": terms, **stated}, run / _FILE)


def read_fitted(run: Path) -> Fitted | None:
    """Return the constants that a run keeps, None where it keeps none."""
    if not (run / _FILE).is_file():
        return None
    kept = torch.load(run / _FILE, weights_only=True)
    thresholds = Abstention.model_validate(kept["abstention"])
    return Fitted(terms_of(kept["terms"]), kept["temperature"], thresholds, kept["sub_plane_temperature"])


def terms_of(weights: Mapping[str, Tensor]) -> OodTerms:
    """Return the OOD terms with these weights, by name; other names are ignored."""
    scalars = {name: float(value) for name, value in weights.items() if name.startswith(_TERMS) and value.ndim == 0}
    ood_score = OodScore(weights["ood_score.weights"], scalars["ood_score.bias"], scalars["ood_score.energy_weight"])
    distance = Distance(
        weights["distance.center"],
        weights["distance.whitening"],
        weights["distance.basis"],
        weights["distance.planes"],
        scalars["distance.residual"],
    )
    return OodTerms(ood_score, distance)
