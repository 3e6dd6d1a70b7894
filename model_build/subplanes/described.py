"""How well a network tells sub-planes, and at which temperature: what the package says of its second head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import softmax

from model_build.calibrate import fit_temperature
from model_build.data import Record
from model_build.evaluate import write_table
from model_build.joint import JointNetwork
from model_build.predict import in_batches
from model_build.subplanes.score import of_all, of_each, of_parts

Sides = tuple[torch.Tensor, Sequence[Record]]  # views as served, uint8 [N, 1, S, S], and their records
FOLDER = "subplanes"  # of tables, in the folder of the run


class Described(BaseModel):
    """The temperature of the head; its figures on validation patients, who gave the temperature, and on test patients.

    Of frames that have a sub-plane, whatever plane the first head tells of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    held: dict[str, float | int]
    test: dict[str, float | int]
    test_of_each: list[dict[str, float | int | str]]

    @classmethod
    def of(cls, network: JointNetwork, held: Sides, test: Sides, run: Path) -> Self:
        """Fit the temperature, score, and write the tables of sub-planes and of parts into the run's folder.

        Every record of the two sides has a sub-plane.
        """
        held_logits, test_logits = (predict_sub_planes(network, views) for views, _ in (held, test))
        temperature = fit_temperature(held_logits, _numbers(held[1]))
        probabilities = _probabilities(test_logits, temperature)
        labels, patients = _numbers(test[1]), [record.patient for record in test[1]]
        each = of_each(probabilities, labels, patients)
        folder = run / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "of_each.csv", each)
        write_table(folder / "of_parts.csv", of_parts(probabilities, labels, test[1]))
        held_patients = [record.patient for record in held[1]]
        described = cls.model_validate(
            {
                "temperature": temperature,
                "held": of_all(_probabilities(held_logits, temperature), _numbers(held[1]), held_patients),
                "test": of_all(probabilities, labels, patients),
                "test_of_each": each,
            }
        )
        (folder / "figures.json").write_text(described.model_dump_json(indent=2) + "\n", "utf-8")
        return described


def predict_sub_planes(network: JointNetwork, views: torch.Tensor) -> NDArray[np.float32]:
    """Logits float32 [N, M] of views uint8 [N, 1, S, S], by a network that has the head."""
    head = network.sub_planes
    assert head is not None
    maps = network.classifier.backbone.maps
    (logits,) = in_batches(network, lambda frames: (head(*maps(frames)[:-1]),), views)
    return logits.numpy()


def _numbers(records: Sequence[Record]) -> NDArray[np.int64]:
    return np.array([record.sub_plane for record in records], np.int64)


def _probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))
