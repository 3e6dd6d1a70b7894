"""The folder of a finished training run: its recipe, its planes and its model."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from model_build.data.records import PLANES
from model_build.models.classifier import PlaneClassifier
from model_build.models.multi_task import MultiTaskNetwork, blank_network
from model_build.recipe import Recipe
from service.schemas.manifest import Plane


def read_recipe(run: Path) -> Recipe:
    """The recipe that a run was made by."""
    return Recipe.model_validate_json((run / "recipe.json").read_text("utf-8"))


def read_planes(run: Path) -> tuple[Plane, ...]:
    """The planes that a run tells apart; those of FETAL_PLANES_DB where its folder does not say."""
    file = run / "planes.json"
    if not file.exists():
        return PLANES
    return tuple(Plane.model_validate(plane) for plane in json.loads(file.read_text("utf-8")))


def read_network(run: Path) -> MultiTaskNetwork:
    """The averaged network of a run, on the CPU, with the head for sub-planes if the run has one."""
    head = run / "sub_planes.pt"
    network = blank_network(read_recipe(run).network, len(read_planes(run)), sub_planes=head.exists())
    network.classifier.load_state_dict(torch.load(run / "model.pt", weights_only=True))
    if network.sub_planes is not None:
        network.sub_planes.load_state_dict(torch.load(head, weights_only=True))
    return network.eval()


def read_model(run: Path) -> PlaneClassifier:
    """The averaged classifier of a run, on the CPU."""
    return read_network(run).classifier


def write_recipe(run: Path, recipe: Recipe) -> None:
    """Make the folder and put the recipe there."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.json").write_text(recipe.model_dump_json(indent=2) + "\n", "utf-8")


def write_planes(run: Path, planes: Sequence[Plane]) -> None:
    """Put the planes there, in order."""
    text = json.dumps([plane.model_dump() for plane in planes], indent=2)
    (run / "planes.json").write_text(text + "\n", "utf-8")


def write_network(run: Path, network: MultiTaskNetwork) -> None:
    """Put the network there; the classifier last, as its file tells that a run has ended."""
    if network.sub_planes is not None:
        torch.save(network.sub_planes.state_dict(), run / "sub_planes.pt")
    torch.save(network.classifier.state_dict(), run / "model.pt")
