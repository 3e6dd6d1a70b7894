"""The head for sub-planes becomes a graph of the package, and a section of its card."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.data.records import SUB_PLANES, SUB_PLANES_OF
from model_build.evaluation.sub_planes import SubPlaneEvaluation
from model_build.models.sub_plane_head import MAPS, ServedSubPlanes, SubPlaneNet
from model_build.packaging.onnx_export import PROBABILITY_TOLERANCE, ExportError, export_graph
from service.inference.package import CLASSIFIER
from service.inference.session import open_session
from service.schemas.manifest import Metric, SubPlanes

GRAPH = "sub_planes.onnx"


def add_sub_planes(
    net: SubPlaneNet, described: SubPlaneEvaluation, package: Path, views: NDArray[np.uint8]
) -> SubPlanes:
    """Write the sub-plane graph beside the classifier of its package.

    Parameters
    ----------
    views
        uint8 [N, 1, S, S], on which the graph has to equal PyTorch.

    Returns
    -------
    What the manifest says of it.

    Raises
    ------
    ExportError
        The graph differs from PyTorch.
    """
    served = ServedSubPlanes(net, described.temperature).eval()
    forward_features = open_session((package / CLASSIFIER).read_bytes(), CLASSIFIER).run(list(MAPS), {"frames": views})
    inputs = tuple(torch.from_numpy(each) for each in forward_features)
    export_graph(served, inputs, list(MAPS), ["probabilities"], package / GRAPH)
    session = open_session((package / GRAPH).read_bytes(), GRAPH)
    one_by_one = [
        session.run(None, {name: each[row : row + 1] for name, each in zip(MAPS, forward_features, strict=True)})[0]
        for row in range(len(views))
    ]  # as it is served; traced were all of them together
    with torch.no_grad():
        worst = float(np.abs(np.concatenate(one_by_one) - served(*inputs).numpy()).max())
    if not worst <= PROBABILITY_TOLERANCE:
        raise ExportError(f"{GRAPH} differs by {worst:.1e} in a probability")
    _append(package / "MODEL_CARD.md", described)
    return SubPlanes(
        plane=SUB_PLANES_OF,
        sub_planes=SUB_PLANES,
        file=GRAPH,
        temperature=described.temperature,
        metrics=tuple(
            Metric(
                metric=name,
                subset="all",
                split="test",
                n=int(described.test["frames"]),
                value=float(described.test[key]),
            )
            for name, key in (("macro_f1", "macro_f1"), ("top1", "accuracy"))
        ),
    )


def _append(card: Path, described: SubPlaneEvaluation) -> None:
    text = card.read_text("utf-8") if card.exists() else ""
    card.write_text(text + section(described), "utf-8")


def section(described: SubPlaneEvaluation) -> str:
    """What the card says of the sub-planes."""
    test, val = described.test, described.val
    rows = "\n".join(
        f"| {row['sub_plane']} | {row['frames']} ({row['patients']}) | {row['right']} | {row['recall']:.3f} "
        f"| {row['recall_low']:.3f} to {row['recall_high']:.3f} | {row['precision']:.3f} | {row['f1']:.3f} "
        f"| {row['f1_low']:.3f} to {row['f1_high']:.3f} |"
        for row in described.test_of_each
    )
    return _SECTION.format(
        rows=rows,
        temperature=described.temperature,
        **{f"test_{name}": value for name, value in test.items()},
        **{f"val_{name}": value for name, value in val.items()},
    )


_SECTION = """
## Brain sub-planes
Of a frame that is told to show the fetal brain, a second head tells which standard plane of it: trans-thalamic,
trans-cerebellum or trans-ventricular. It looks at the same backbone, which learned sub-planes as well. Test
frames are those brain frames of the official test patients that have one of the three, whatever the first head says of
them; brain planes of no name are not counted. Intervals as above.

| sub-plane | frames (women) | right | recall | interval | precision | F1 | interval |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

Macro-F1 {test_macro_f1:.3f} ({test_macro_f1_low:.3f} to {test_macro_f1_high:.3f}), accuracy {test_accuracy:.3f}
({test_accuracy_low:.3f} to {test_accuracy_high:.3f}), calibration error {test_calibration_error:.3f} at temperature
{temperature:.3f}. On the {val_frames} frames of validation patients, who gave the temperature: macro-F1
{val_macro_f1:.3f} ({val_macro_f1_low:.3f} to {val_macro_f1_high:.3f}).
"""
