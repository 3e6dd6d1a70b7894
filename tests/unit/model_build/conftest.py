from pathlib import Path

import pytest
import torch

from model_build.recipe import Recipe, load_recipe
from tests.support.tiny_dataset import write_phantoms
from tests.support.tiny_run import BuiltModel


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "data")


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The default recipe, made small enough to train within seconds."""
    recipe = load_recipe("default").model_dump()
    recipe["preprocessing"]["size"] = 64
    recipe["training"] |= {"epochs": 2, "batch_size": 8, "ema_decay": 0.5, "frozen_blocks": 2}
    recipe["validation_folds"] = 4
    return Recipe.model_validate(recipe)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """One trained and packaged model for all tests. Copy what a test changes."""
    torch.set_num_threads(1)
    return BuiltModel.build(tmp_path_factory.mktemp("built"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
