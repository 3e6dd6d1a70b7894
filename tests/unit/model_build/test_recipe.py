"""Recipes: those that ship, and how one extends another."""

from importlib import resources
from pathlib import Path

import pytest

from model_build.models.classifier import check_architecture
from model_build.recipe import RecipeError, load_recipe

SHIPPED = sorted(
    file.name.removesuffix(".toml")
    for file in (resources.files("model_build") / "recipes").iterdir()
    if file.name.endswith(".toml")
)
DEFAULT = load_recipe("default").model_dump()


def changed(values: dict[str, object], base: dict[str, object] = DEFAULT) -> dict[str, object]:
    """Return the values that differ from `base`, table by table."""
    different: dict[str, object] = {}
    for key, value in values.items():
        inherited = base[key]
        if isinstance(value, dict) and isinstance(inherited, dict):
            different |= {key: inner} if (inner := changed(value, inherited)) else {}
        elif value != inherited:
            different[key] = value
    return different


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    check_architecture(recipe.network)
    assert recipe.training.epochs > 1


def test_the_shipped_recipes_are_known() -> None:
    assert SHIPPED == ["default", "distill", "edge", "improve", "lite2", "paper"]


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("edge", {"network": {"backbone": "lite0"}, "preprocessing": {"size": 192}, "training": {"epochs": 12}}),
        ("lite2", {"network": {"backbone": "lite2"}, "preprocessing": {"size": 260}}),
        (
            "paper",
            {
                "network": {"backbone": "lite0"},
                "preprocessing": {"crop": "none", "zoom": 1.0},
                "training": {"epochs": 10, "balance": 0.0, "frozen_blocks": 0},
                "augmentation": {"intensity": 0.5, "texture": 0.0, "graphics": 0.0},
                "sub_planes": None,
                "split": "frames",
                "validation_folds": 10,
            },
        ),
    ],
)
def test_a_shipped_recipe_differs_from_default_only_where_it_says(name: str, differences: dict[str, object]) -> None:
    assert changed(load_recipe(name).model_dump()) == differences


def test_a_users_recipe_extends_a_file_that_extends_default(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "base.toml").write_text('extends = "default"\ntraining.epochs = 3\nseed = 5\n')
    (tmp_path / "lab" / "mine.toml").write_text(
        'extends = "../base.toml"\ntraining.batch_size = 4\nsub_planes = false\n'
    )
    recipe = load_recipe(str(tmp_path / "lab" / "mine.toml"))
    assert changed(recipe.model_dump()) == {"training": {"epochs": 3, "batch_size": 4}, "seed": 5, "sub_planes": None}


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "mine.toml"\n')
    with pytest.raises(ValueError, match="extends itself"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\nsead = 1\n", "line 3: sead is not a field; the fields are network, .*seed"),
        ("training.epoch = 3\n", r"line 2: training\.epoch is not a field; training has epochs, batch_size"),
        ("[training]\n# epochs\nepochs = 0\n", "line 4: training.epochs is 0; input should be greater"),
        ("training = { batch_size = 1 }", "line 2: training.batch_size is 1"),
        ('split = "frame"', "line 2: split is 'frame'; input should be 'official', 'patients' or 'frames'"),
        ('network.backbone = "lite9"', "line 2: network.backbone: 'lite9' is none of lite0, lite1"),
        ('network.attention = "lens"', "line 2: network.attention: 'lens' is none of "),
        ("seed =\n", "is not valid TOML: .* line 2"),
        ("# M\xfcller", "line 2: the bytes are not UTF-8"),
    ],
)
def test_a_wrong_recipe_is_refused_with_line_and_choices(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(f'extends = "default"\n{text}'.encode("latin-1"))
    with pytest.raises(RecipeError, match=rf"mine\.toml.*{reason}"):
        load_recipe(str(path))


def test_all_wrong_fields_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "default"\nseed = "x"\nsplit = 3\n')
    with pytest.raises(RecipeError, match=r"(?s)line 2: seed.*line 3: split"):
        load_recipe(str(path))


@pytest.mark.parametrize("parent", ["3", '"no-such"', '"no-such.toml"'])
def test_what_a_recipe_may_extend_is_listed(tmp_path: Path, parent: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"extends = {parent}\n")
    choices = "default, distill, edge, improve, lite2, paper"
    with pytest.raises(RecipeError, match=rf"mine\.toml, line 1: extends .*{choices}"):
        load_recipe(str(path))


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "default"\nseed = 7\n', "utf-8-sig")
    assert load_recipe(str(path)).seed == 7


def test_a_recipe_that_does_not_exist_is_refused_with_the_choices() -> None:
    with pytest.raises(FileNotFoundError, match="no recipe no_such_recipe: the choices are default, distill, edge"):
        load_recipe("no_such_recipe")
