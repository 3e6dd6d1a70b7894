"""Items of a protocol: which frames count, which are doubtful, and what state follows."""

import pytest

from service.analysis.protocols.check import Candidate, check_items
from service.schemas.answers import SubPlane
from service.schemas.batch import Source
from service.schemas.protocols import Doubt, ItemPlane, ProtocolItem

BRAIN = ItemPlane(plane="brain", sub_plane=None, label="Brain")
THALAMIC = ItemPlane(plane="brain", sub_plane="tt", label="Trans-thalamic")
VENTRICULAR = ItemPlane(plane="brain", sub_plane="tv", label="Trans-ventricular")
FEMUR = ItemPlane(plane="femur", sub_plane=None, label="Femur")


def item(*one_of: ItemPlane, least: int = 1) -> ProtocolItem:
    return ProtocolItem(label="An item", one_of=list(one_of), min=least, optional=False, note=None)


def frame(
    file: int, plane: str = "brain", probability: float = 0.9, finer: str | None = None, doubt: Doubt | None = None
) -> Candidate:
    sub_plane = SubPlane(plane=finer, label=finer, probability=0.5) if finer not in (None, "close") else None
    source = Source(file=file, name=None, frame=0)
    return Candidate(source, plane, probability, sub_plane, finer == "close", doubt)


@pytest.mark.parametrize(
    ("sure", "doubtful", "left", "state"),
    [
        (2, 0, 0, "fulfilled"), (3, 5, 9, "fulfilled"), (1, 0, 0, "missing"), (0, 0, 0, "missing"),
        (1, 1, 0, "doubtful"), (0, 2, 0, "doubtful"), (0, 1, 0, "missing"), (1, 1, 1, "not-read-yet"),
    ],
)  # fmt: skip
def test_the_state_of_an_item(sure: int, doubtful: int, left: int, state: str) -> None:
    frames = [frame(number, doubt="close" if number >= sure else None) for number in range(sure + doubtful)]
    (checked,) = check_items([item(BRAIN, least=2)], frames, left)
    assert (checked.state, len(checked.frames), len(checked.doubtful)) == (state, sure, doubtful)


def test_frames_come_most_probable_first_and_equal_ones_in_the_order_of_files() -> None:
    frames = [frame(2, probability=0.8), frame(1, probability=0.8), frame(0, probability=0.7), frame(3)]
    (checked,) = check_items([item(BRAIN)], frames, 0)
    assert [each.source.file for each in checked.frames] == [3, 1, 2, 0]


def test_another_plane_never_counts() -> None:
    (checked,) = check_items([item(FEMUR)], [frame(0), frame(1, doubt="uncertain")], 0)
    assert (checked.state, checked.frames, checked.doubtful) == ("missing", [], [])


def test_a_frame_of_any_alternative_counts_once() -> None:
    (checked,) = check_items([item(THALAMIC, BRAIN, FEMUR, least=2)], [frame(0, finer="tt"), frame(1, "femur")], 0)
    assert checked.state == "fulfilled"
    assert [(each.plane, each.sub_plane, each.probability) for each in checked.frames] == [
        ("femur", None, 0.9), ("brain", "tt", 0.45)
    ]  # fmt: skip


def test_a_frame_can_count_for_several_items() -> None:
    checked = check_items([item(BRAIN), item(THALAMIC), item(VENTRICULAR)], [frame(0, finer="tt")], 0)
    assert [each.state for each in checked] == ["fulfilled", "fulfilled", "missing"]


@pytest.mark.parametrize(
    ("finer", "doubt", "found"),
    [
        ("tt", None, None), ("tt", "close", "close"), ("close", None, "sub-plane"), (None, "uncertain", "uncertain"),
        ("close", "close", "close"), ("tv", None, "none"), (None, None, "none"),
    ],
)  # fmt: skip
def test_doubts_about_a_sub_plane(finer: str | None, doubt: Doubt | None, found: str | None) -> None:
    (checked,) = check_items([item(THALAMIC)], [frame(0, finer=finer, doubt=doubt)], 0)
    doubts = [each.doubt for each in [*checked.frames, *checked.doubtful]]
    assert doubts == ([] if found == "none" else [found])


def test_an_alternative_without_a_doubt_wins() -> None:
    (checked,) = check_items([item(THALAMIC, BRAIN)], [frame(0, finer="close")], 0)
    assert [(each.sub_plane, each.doubt) for each in checked.frames] == [(None, None)]
