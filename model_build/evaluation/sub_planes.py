"""Evaluation of the sub-plane head, on frames that have a sub-plane label.

Every such frame counts, whatever plane the first head predicts for it. In these predictions the "planes" are the
sub-planes.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.evaluation.headline import measure
from model_build.evaluation.metrics import class_f1, patient_bootstrap
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row, per_plane
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork
from service.schemas.manifest import Metric


def predict_sub_planes(network: MultiTaskNetwork, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Return logits float32 [N, M] of inputs uint8 [N, 1, S, S]; the network must have the sub-plane head."""
    head = network.sub_planes
    assert head is not None
    features = network.classifier.backbone.forward_features
    (logits,) = in_batches(network, lambda frames: (head(*features(frames)[:-1]),), inputs)
    return logits.numpy()


def sub_plane_metrics(predictions: Predictions, split: str) -> list[Metric]:
    """Return macro-F1, top-1 and calibration error of one split."""
    return [measure(name, predictions, split) for name in ("macro_f1", "top1", "calibration_error")]


def per_sub_plane(predictions: Predictions) -> list[Row]:
    """Return one row per sub-plane: the columns of `per_plane`, and F1 with its bootstrap interval."""
    arrays = predictions.probabilities, predictions.labels
    f1, (low, high) = class_f1(*arrays).tolist(), patient_bootstrap(class_f1, predictions.patients, *arrays).tolist()
    rows = per_plane(predictions)
    return [row | {"f1": f1[k], "f1_low": low[k], "f1_high": high[k]} for k, row in enumerate(rows)]


def per_subset(predictions: Predictions) -> list[Row]:
    """Return one row of metrics for each scanner, for frames in their original shape, and for stretched frames."""
    scanners, stretched = predictions.scanners, np.array([record.stretched for record in predictions.records])
    subsets = {"original shape": ~stretched, "stretched": stretched}
    subsets |= {name: scanners == name for name in set(scanners.tolist())}
    rows: list[Row] = []
    for name, mask in sorted(subsets.items()):
        if mask.any():
            own = predictions.select(mask)
            row: Row = {"subset": name, "frames": len(own.records), "patients": len(set(own.patients))}
            for metric in sub_plane_metrics(own, "test"):
                row[metric.metric] = metric.value
                row |= {f"{metric.metric}_low": metric.low or 0.0, f"{metric.metric}_high": metric.high or 0.0}
            rows.append(row)
    return rows
