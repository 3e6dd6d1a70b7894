"""A finished training run becomes a model package: calibrate, export, prove parity, evaluate, write the card."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from model_build.calibrate import choose_abstention, fit_temperature
from model_build.card import write_card
from model_build.classifier import PlaneClassifier
from model_build.data import PLANES, Record, carve_validation, load_frames, planes_of, read_records
from model_build.evaluate import Figure, headline, run_engine
from model_build.export import Served, check_parity, export_graphs
from model_build.novelty import Novelty
from model_build.recipe import Recipe
from model_build.report import write_report
from model_build.run_folder import read_model, read_recipe
from model_build.views import served_views
from service import __version__
from service.inference.engine import Engine
from service.inference.manifest import FORMAT, Abstention, Manifest, TrainingData
from service.inference.package import load_package

_PARITY_VIEWS = 12

DATA_SET = "FETAL_PLANES_DB, the subset of 1,707 frames"
_LICENCE = "CC BY 4.0"
_CITATION = "Burgos-Artizzu et al., Sci Rep 10:10200 (2020), doi 10.1038/s41598-020-67076-5; Zenodo 3904280"


def build_package(run: Path, data: Path, package: Path, *, name: str, version: str) -> list[Figure]:
    """Build the package of a training run, and its report.

    Parameters
    ----------
    run
        The folder that `train` wrote.
    data
        The data set that it was trained on.
    package
        The folder to write; what it held is replaced only once the new package has passed every check.

    Returns
    -------
    The headline figures of the package on the official test split.

    Raises
    ------
    ExportError
        ONNX and PyTorch disagree.
    """
    recipe, model = read_recipe(run), read_model(run)
    records = read_records(data)
    official_train = [record for record in records if record.split == "train"]
    train_records, held_records = carve_validation(official_train, recipe.validation_folds)
    train_views = served_views(load_frames(train_records), recipe.preprocessing)
    held_views = served_views(load_frames(held_records), recipe.preprocessing)

    _, embeddings = infer(model, train_views)
    novelty = Novelty.fit(embeddings, planes_of(train_records))
    logits, held_embeddings = infer(model, held_views)
    temperature = fit_temperature(logits.numpy(), planes_of(held_records))
    with torch.no_grad():
        held_novelty = novelty(held_embeddings).numpy()
    thresholds = choose_abstention(softmax(logits.numpy() / temperature, axis=1), held_novelty)

    draft = package.with_name(package.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    served = Served(model, novelty, temperature)
    opset = export_graphs(served, recipe.preprocessing.size, len(PLANES), draft)
    parity = check_parity(served, draft, _spread(held_views.numpy(), planes_of(held_records)), len(PLANES))
    manifest = _manifest(recipe, temperature, thresholds, opset, train_records, name, version)
    _seal(draft, manifest)

    engine = Engine(load_package(draft))
    test_records = [record for record in records if record.split == "test"]
    outcome = run_engine(engine, load_frames(test_records), test_records)
    figures = headline(outcome)
    write_report(run, outcome, engine.manifest, figures, parity)
    write_card(draft / "MODEL_CARD.md", engine.manifest, recipe, outcome, figures, parity)
    metrics = {f"{figure.name}; official test subset, {figure.frames} frames": figure.value for figure in figures}
    _seal(draft, manifest.model_copy(update={"metrics": metrics}))
    load_package(draft)
    shutil.rmtree(package, ignore_errors=True)
    draft.rename(package)
    return figures


@torch.inference_mode()
def infer(model: PlaneClassifier, views: Tensor, batch: int = 32) -> tuple[Tensor, Tensor]:
    """Logits [N, K] and embeddings [N, C] of views uint8 [N, 1, S, S]."""
    model.eval()
    embeddings = torch.cat([model.head.embed(model.backbone(part.float())) for part in torch.split(views, batch)])
    return model.head.perceptron(embeddings), embeddings


def _spread(views: NDArray[np.uint8], planes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A few views, the planes as evenly among them as can be."""
    order = np.argsort([np.flatnonzero(planes[: row + 1] == planes[row]).size for row in range(len(planes))])
    return views[np.sort(order[:_PARITY_VIEWS])]


def _manifest(
    recipe: Recipe,
    temperature: float,
    thresholds: Abstention,
    opset: int,
    train_records: Sequence[Record],
    name: str,
    version: str,
) -> Manifest:
    training_data = TrainingData(
        name=DATA_SET,
        licence=_LICENCE,
        citation=_CITATION,
        train_frames=len(train_records),
        train_patients=len({record.patient for record in train_records}),
    )
    return Manifest(
        format=FORMAT,
        name=name,
        version=version,
        planes=PLANES,
        preprocessing=recipe.preprocessing,
        temperature=temperature,
        abstention=thresholds,
        files={},
        opset=opset,
        training_data=training_data,
        metrics={},
        code_version=__version__,
    )


def _seal(folder: Path, manifest: Manifest) -> None:
    """Write `model.json` with the hash of every other file of the folder."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != "model.json"
    }
    sealed = manifest.model_copy(update={"files": files})
    (folder / "model.json").write_text(sealed.model_dump_json(indent=2) + "\n", "utf-8")
