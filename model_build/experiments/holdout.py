"""One training of a study: train on some records, predict the held-out ones, keep the result.

Each training has a folder with `result.json`. A second call reads it, so an interrupted study continues.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_build.data.datasets import eval_and_augmented_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import Dataset, DatasetIndex, Frame, Record
from model_build.data.splits import warn
from model_build.evaluation.validation import softmax
from model_build.recipe import Recipe
from model_build.training.distributed import Distributed
from model_build.training.trainer import RunOptions, Trainer


@dataclass(frozen=True)
class Study:
    """What all trainings of a study share: the data set, a folder and a device."""

    data: DatasetIndex
    out: Path
    device: str

    @classmethod
    def open(cls, data: Path, out: Path, device: str) -> "Study":
        """Read the data set and write its warnings to standard error."""
        data_set = read_data(data)
        warn(data_set.warnings)
        return cls(data_set, out, device)


class HoldOut:
    """Trainings on subsets of the same records; each frame is decoded once."""

    def __init__(self, study: Study, records: Sequence[Record]) -> None:
        self.study = study
        self._frames: dict[Path, Frame] = {
            record.path: frame for record, frame in zip(records, load_frames(records), strict=True)
        }

    def predict(
        self, recipe: Recipe, train_records: Sequence[Record], val: Sequence[Record], name: str, augmented: int = 0
    ) -> NDArray[np.float32]:
        """Train on `train_records` and return the probabilities of `val`, uncalibrated.

        Parameters
        ----------
        name
            Folder of the training, inside the folder of the study.
        augmented
            Number of augmented inputs per frame of `val`.

        Returns
        -------
        float32 [N * (1 + augmented), K]: the N original frames, then their augmented inputs.
        """
        folder = self.study.out / name
        result = folder / "result.json"
        if not result.exists():
            options = RunOptions(Distributed(self.study.device), resume=True)
            train_data, val_data = self._decoded(train_records), self._decoded(val)
            network = Trainer(recipe, train_data, val_data, folder, self.study.data.planes, options).train()
            inputs = eval_and_augmented_inputs(val_data, recipe, augmented)
            result.write_text(json.dumps(softmax(network.classifier, inputs).tolist()), "utf-8")
            (folder / "checkpoint.pt").unlink()
        return np.array(json.loads(result.read_text("utf-8")), np.float32)

    def _decoded(self, records: Sequence[Record]) -> Dataset:
        return Dataset([self._frames[record.path] for record in records], records)
