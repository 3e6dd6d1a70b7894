"""How well a network tells sub-planes, and at which temperature: what the package says of its second head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import softmax

from model_build.data.records import Record
from model_build.evaluation.calibration import fit_temperature
from model_build.evaluation.predictions import write_table
from model_build.evaluation.sub_plane_metrics import of_all, of_each, of_parts
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork

Sides = tuple[torch.Tensor, Sequence[Record]]  # views as served, uint8 [N, 1, S, S], and their records
FOLDER = "subplanes"  # of tables, in the folder of the run


class SubPlaneEvaluation(BaseModel):
    """The temperature of the head; its figures on validation patients, who gave the temperature, and on test patients.

    Of frames that have a sub-plane, whatever plane the first head tells of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    val: dict[str, float | int]
    test: dict[str, float | int]
    test_of_each: list[dict[str, float | int | str]]

    @classmethod
    def of(cls, network: MultiTaskNetwork, val: Sides, test: Sides, run: Path) -> Self:
        """Fit the temperature, score, and write the tables of sub-planes and of parts into the run's folder.

        Every record of the two sides has a sub-plane.
        """
        val_logits, test_logits = (predict_sub_planes(network, views) for views, _ in (val, test))
        temperature = fit_temperature(val_logits, _numbers(val[1]))
        probabilities = _probabilities(test_logits, temperature)
        labels, patients = _numbers(test[1]), [record.patient for record in test[1]]
        each = of_each(probabilities, labels, patients)
        folder = run / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "of_each.csv", each)
        write_table(folder / "of_parts.csv", of_parts(probabilities, labels, test[1]))
        val_patients = [record.patient for record in val[1]]
        described = cls.model_validate(
            {
                "temperature": temperature,
                "val": of_all(_probabilities(val_logits, temperature), _numbers(val[1]), val_patients),
                "test": of_all(probabilities, labels, patients),
                "test_of_each": each,
            }
        )
        (folder / "figures.json").write_text(described.model_dump_json(indent=2) + "\n", "utf-8")
        return described


def predict_sub_planes(network: MultiTaskNetwork, views: torch.Tensor) -> NDArray[np.float32]:
    """Logits float32 [N, M] of views uint8 [N, 1, S, S], by a network that has the head."""
    head = network.sub_planes
    assert head is not None
    forward_features = network.classifier.backbone.forward_features
    (logits,) = in_batches(network, lambda frames: (head(*forward_features(frames)[:-1]),), views)
    return logits.numpy()


def _numbers(records: Sequence[Record]) -> NDArray[np.int64]:
    return np.array([record.sub_plane for record in records], np.int64)


def _probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))
