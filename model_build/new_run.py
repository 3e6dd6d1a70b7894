"""Checks before a training writes into a run directory, so that no run is overwritten."""

from pathlib import Path

from model_build.recipe import Recipe
from model_build.run_dir import CHECKPOINT, MODEL, RECIPE, SPLITS, RunError, progress, read_recipe
from service.schemas.file_names import path_text


def check_new(run: Path) -> None:
    """Raise RunError where a folder holds a run already."""
    if (run / MODEL).is_file():
        raise RunError(f"{path_text(run)} holds a finished run: name another folder")
    if any((run / name).is_file() for name in (RECIPE, SPLITS, CHECKPOINT)):
        raise RunError(
            f"{path_text(run)} holds an unfinished run ({progress(run)}): continue it with --resume, or name another "
            "folder"
        )


def check_same_recipe(run: Path, recipe: Recipe) -> None:
    """Raise RunError where a run was started with another recipe, except for the number of micro-batches."""
    if not (run / RECIPE).is_file():
        return
    before, now = _flat(read_recipe(run)), _flat(recipe)
    changes = [
        f"{field} was {before.get(field)!r}, is {now.get(field)!r}"
        for field in sorted(before.keys() | now.keys())
        if before.get(field) != now.get(field)
    ]
    if changes:
        raise RunError(
            f"{path_text(run)} was started with another recipe ({', '.join(changes)}): resume it with the same one, or "
            "name another folder"
        )


def _flat(recipe: Recipe) -> dict[str, object]:
    """Return the fields of a recipe that decide its result, by names such as `training.epochs`."""
    flat: dict[str, object] = {}
    for name, value in recipe.model_dump(exclude={"training": {"grad_accum_steps"}}).items():
        flat |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return flat
