"""Predictions of a model package on labeled frames, computed by the engine that serves it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_build.data.labels import main_planes
from model_build.data.records import DataError, DatasetIndex, Frames, Record, planes_of
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.schemas.manifest import Plane


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions on N labeled frames."""

    records: Sequence[Record]
    probabilities: NDArray[np.floating]  # [N, K], calibrated unless stated otherwise
    abstained: NDArray[np.bool_]  # [N], whether the engine abstains
    planes: tuple[Plane, ...]  # K, in the order of the columns
    ood_scores: NDArray[np.floating] | None = None  # [N], where the engine computed them
    out_of_distribution: NDArray[np.bool_] | None = None  # [N], whether that is why it abstains

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true plane numbers, int64 [N]."""
        return planes_of(self.records)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable plane numbers, int64 [N]."""
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @property
    def patients(self) -> list[str]:
        """The patient of each frame."""
        return [record.patient for record in self.records]

    @property
    def scanners(self) -> NDArray[np.str_]:
        """The scanner of each frame, [N]."""
        return np.array([record.scanner for record in self.records], np.str_)

    @property
    def main(self) -> "Predictions | None":
        """The frames of the four main planes of FETAL_PLANES_DB; None if there are none, or no other planes."""
        rows = np.isin(self.labels, main_planes([plane.id for plane in self.planes]))
        return self.select(rows) if rows.any() else None

    def select(self, rows: NDArray[np.bool_]) -> "Predictions":
        """Return the predictions on the frames where `rows`, bool [N], is true."""
        records = [self.records[row] for row in np.flatnonzero(rows).tolist()]
        scores, far = self.ood_scores, self.out_of_distribution
        return replace(
            self,
            records=records,
            probabilities=self.probabilities[rows],
            abstained=self.abstained[rows],
            ood_scores=None if scores is None else scores[rows],
            out_of_distribution=None if far is None else far[rows],
        )


def classify_frames(engine: Engine, frames: Frames, records: Sequence[Record]) -> Predictions:
    """Classify gray frames, uint8 [H, W] each, one by one as the service does."""
    manifest = engine.manifest
    scores = [
        engine.score(crop_and_letterbox(frame, manifest.preprocessing).pixels)
        for frame in tqdm(frames, desc="scoring", disable=None)
    ]
    reasons = [abstain_reason(score, manifest.abstention) for score in scores]
    return Predictions(
        records,
        probabilities=np.stack([score.probabilities for score in scores]),
        abstained=np.array([reason is not None for reason in reasons]),
        planes=manifest.planes,
        ood_scores=np.array([score.ood_score for score in scores]),
        out_of_distribution=np.array([reason == "out-of-distribution" for reason in reasons]),
    )


def match_planes(data: DatasetIndex, planes: Sequence[Plane]) -> list[Record]:
    """Return the records of a data set with plane numbers that index `planes`.

    Raises
    ------
    DataError
        The data set has a plane that is not in `planes`.
    """
    numbers = {plane.id: number for number, plane in enumerate(planes)}
    unknown = [plane.id for plane in data.planes if plane.id not in numbers]
    if unknown:
        raise DataError(f"the package does not know {', '.join(unknown)}; it knows {', '.join(numbers)}")
    return [replace(record, plane=numbers[data.planes[record.plane].id]) for record in data.records]
