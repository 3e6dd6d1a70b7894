"""Ids of own labels: of any script, stable, and never one for two labels."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_build.data.formats.own_data.dataset_toml import Statements
from model_build.data.formats.own_data.plane_ids import clean_label, is_plane_id, plane_id
from model_build.data.formats.own_data.planes import own_planes
from model_build.data.records import DataError, Source

NOTHING_STATED = Statements(Path("dataset.toml"), Source("mine"))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Trans-thalamic (TT)", "trans_thalamic_tt"),
        ("Schädel", "schadel"),
        ("cœur fœtal", "coeur_foetal"),
        ("Straße", "strasse"),
        ("4 chambers", "plane_4_chambers"),
        ("脑", "plane_dcfcd4e5"),
        ("мозг 2", "plane_2_32289c4e"),
    ],
)
def test_ids_that_packages_depend_on_never_change(label: str, expected: str) -> None:
    assert plane_id(label) == expected


@given(st.text(min_size=1))
def test_every_label_has_an_id_that_normalization_and_case_do_not_change(label: str) -> None:
    assert is_plane_id(plane_id(label))
    assert plane_id(unicodedata.normalize("NFD", label)) == plane_id(label) == plane_id(f" {label}\n")


@given(st.lists(st.text(), min_size=2, max_size=6))
def test_two_labels_never_get_one_id(labels: list[str]) -> None:
    cleaned = [clean_label(label) or "empty" for label in labels]
    try:
        planes, number_of = own_planes(cleaned, NOTHING_STATED, "mine")
    except DataError:
        return
    assert len({plane.id for plane in planes}) == len(planes) == len(set(cleaned))
    assert {planes[number_of[label]].id for label in cleaned} == {plane.id for plane in planes}


@given(st.lists(st.text(st.characters(categories=["Lo"]), min_size=1), min_size=2, max_size=2))
def test_labels_without_latin_letters_have_ids_of_their_own(labels: list[str]) -> None:
    folded = {unicodedata.normalize("NFKC", clean_label(label)).casefold() for label in labels}
    assert len({plane_id(label) for label in labels}) == len(folded)


def test_ids_may_be_stated() -> None:
    stated = Statements(Path("dataset.toml"), Source("mine"), ids={"脑": "fetal_brain", "Test 1": "other"})
    planes, _ = own_planes(["脑", "股骨", "Test 1"], stated, "mine")
    assert (planes[0].id, planes[0].label) == ("fetal_brain", "脑")
    assert (planes[-1].id, planes[-1].label) == ("other", "Test 1")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"kidney": "kidney"}, r"\[planes\]: no frame has the label 'kidney'; the labels are heart, spine"),
        ({"heart": "spine"}, "'heart' and 'spine' have the same id in the API, spine"),
    ],
)
def test_wrong_ids_are_refused_with_the_choices(ids: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        own_planes(["heart", "spine"], Statements(Path("dataset.toml"), Source("mine"), ids=ids), "mine")
