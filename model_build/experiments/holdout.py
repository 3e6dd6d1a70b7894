"""A study: trainings on parts of one data set; each predicts the records that it did not train on.

Each training has a folder with `result.json`. A second call reads it, so an interrupted study continues.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_build.data.datasets import eval_and_augmented_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import Dataset, Frame, Record
from model_build.data.splits import warn
from model_build.models.inference import predict
from model_build.recipe import Recipe
from model_build.training.distributed import Distributed
from model_build.training.trainer import RunOptions, Trainer


class Study:
    """Trainings on a data set, whose warnings go to standard error; each frame is decoded at most once."""

    def __init__(self, data: Path, out: Path, device: str) -> None:
        self.data, self._out, self._device = read_data(data), out, device
        self._frames: dict[tuple[Path, int], Frame] = {}
        warn(self.data.warnings)

    def predict(
        self, recipe: Recipe, train_records: Sequence[Record], val: Sequence[Record], name: str, augmented: int = 0
    ) -> NDArray[np.float32]:
        """Train in the folder `name` and return uncalibrated probabilities, float32 [N * (1 + augmented), K].

        The first N are of the frames of `val`, the others of `augmented` augmented inputs per frame.
        """
        folder = self._out / name
        result = folder / "result.json"
        if not result.exists():
            options = RunOptions(Distributed(self._device), resume=True)
            train_data, val_data = self._decode(train_records), self._decode(val)
            network = Trainer(recipe, train_data, val_data, folder, self.data.planes, options).train()
            inputs = eval_and_augmented_inputs(val_data, recipe, augmented)
            result.write_text(json.dumps(predict(network.classifier, inputs).softmax(1).tolist()), "utf-8")
            (folder / "checkpoint.pt").unlink()
        return np.array(json.loads(result.read_text("utf-8")), np.float32)

    def _decode(self, records: Sequence[Record]) -> Dataset:
        new = [record for record in records if record.key not in self._frames]
        self._frames |= zip((record.key for record in new), load_frames(new), strict=True)
        return Dataset([self._frames[record.key] for record in records], records)
