"""Cines with a known result: probabilities written by hand, and frames that cut or drift."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.analysis.batch import File
from service.analysis.cine import RADIUS, CineReader, is_cut, shot_signature
from service.analysis.results import FrameResult, ModelIdentity, PlaneScore
from service.imaging.frame import FrameMetadata
from service.imaging.letterbox import Crop
from service.imaging.sector import Box
from service.inference.engine import Scores
from service.schemas.batch import CineSummary
from service.schemas.manifest import Plane
from tests.support.images import speckle

PLANES = [Plane(id=f"p{number}", label=f"Plane {number}") for number in range(3)]
SCENES = [shot_signature(speckle(seed=seed)) for seed in range(4)]


def sure(index: int, plane: int, probability: float = 0.9, *, abstains: bool = False) -> FrameResult:
    rest = (1 - probability) / (len(PLANES) - 1)
    probabilities = np.array([probability if each == plane else rest for each in range(len(PLANES))], np.float32)
    return FrameResult(
        frame=FrameMetadata("dicom", 80, 60, index, 99),
        crop=Crop(Box(0, 0, 80, 60), "none"),
        scores=Scores(probabilities, 0.0, 0.0),
        ranked=(),
        abstain_reason="uncertain" if abstains else None,
        sub_plane=PlaneScore(f"s{index}", "A sub-plane", probability),
        sub_planes=None,
        model=ModelIdentity("phantom", "1", "0"),
    )


def new_reader() -> CineReader:
    return CineReader(File(4, "a.dcm", bytes), 99, PLANES)


def read(
    planes: Sequence[int], scenes: Sequence[int] | None = None, abstained: Sequence[int] = (), step: int = 1
) -> CineSummary:
    """Return the cine of confident frames of `planes`, each in the scene of its plane or in `scenes`."""
    reader = new_reader()
    for number, (plane, scene) in enumerate(zip(planes, scenes or planes, strict=True)):
        reader.add(sure(number * step, plane, abstains=number in abstained), SCENES[scene])
    return reader.finish()


def spans(cine: CineSummary) -> list[tuple[int, int, int | None]]:
    ids = [plane.id for plane in PLANES]
    return [(each.start, each.end, None if each.plane is None else ids.index(each.plane)) for each in cine.segments]


def test_shots_become_segments() -> None:
    cine = read([0] * 10 + [1] * 6 + [0] * 4)
    assert spans(cine) == [(0, 9, 0), (10, 15, 1), (16, 19, 0)]
    assert cine.cuts == [10, 16]
    assert [each.frames for each in cine.segments] == [10, 6, 4]
    assert cine.segments[0].confidence == pytest.approx(0.9)
    assert cine.frames == 20


def test_averages_do_not_reach_across_a_cut() -> None:
    cine = read([0, 0, 0, 1, 2, 2, 2])  # one frame of another shot, between two
    assert spans(cine) == [(0, 2, 0), (3, 3, 1), (4, 6, 2)]
    assert [each.confidence for each in cine.segments] == pytest.approx([0.9] * 3)


def test_a_flicker_within_a_shot_makes_no_segment() -> None:
    planes = [0] * 5 + [1] + [0] * 5
    cine = read(planes, scenes=[0] * 11)
    assert spans(cine) == [(0, 10, 0)]
    assert [each.plane for each in cine.best] == ["p0"]  # and gives no best frame


def test_the_plane_can_change_within_a_shot() -> None:
    cine = read([0] * 8 + [1] * 8, scenes=[0] * 16)
    assert spans(cine) == [(0, 7, 0), (8, 15, 1)]
    assert cine.cuts == []
    assert cine.segments[0].confidence == pytest.approx((6 * 0.9 + (4 * 0.9 + 0.05) / 5 + (3 * 0.9 + 0.1) / 5) / 8)


def test_the_average_is_over_the_neighbors() -> None:
    reader = new_reader()
    values = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    for number, value in enumerate(values):
        reader.add(sure(number, 0, value), SCENES[0])
    (best,) = reader.finish().best
    assert RADIUS == 2
    assert (best.frame, best.plane, best.label) == (5, "p0", "Plane 0")
    assert best.probability == pytest.approx(0.95)
    assert best.smoothed == pytest.approx(np.mean(values[3:]))


def test_the_best_frame_is_the_most_probable_of_its_plane() -> None:
    reader = new_reader()
    chances = [0.7, 0.8, 0.97, 0.8, 0.7, 0.99, 0.8]  # the last but one abstains
    for number, chance in enumerate(chances):
        reader.add(sure(number, 1, chance, abstains=number == 5), SCENES[0])
    (best,) = reader.finish().best
    assert (best.plane, best.frame) == ("p1", 2)
    assert best.sub_plane is not None
    assert best.sub_plane.plane == "s2"


def test_among_equally_probable_frames_the_smoothed_average_decides() -> None:
    chances = [0.9, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9]
    reader = new_reader()
    for number, chance in enumerate(chances):
        reader.add(sure(number, 0, chance), SCENES[0])
    (best,) = reader.finish().best
    assert best.frame == 6


def test_frames_on_which_the_model_abstains_have_no_vote() -> None:
    cine = read([0, 0, 1, 1, 0, 0], scenes=[0] * 6, abstained=[2, 3])
    assert spans(cine) == [(0, 5, 0)]
    assert cine.segments[0].abstained == 2
    assert cine.segments[0].confidence == pytest.approx(0.9)


def test_a_segment_without_votes_names_no_plane() -> None:
    cine = read([0] * 4 + [1] * 4, abstained=range(4, 8))
    assert spans(cine) == [(0, 3, 0), (4, 7, None)]
    assert cine.segments[1].confidence is None
    assert [each.plane for each in cine.best] == ["p0"]


@pytest.mark.parametrize("answered", [1, 2, 5, 9])
def test_a_minority_of_answered_frames_names_no_plane(answered: int) -> None:
    silent = set(range(20)) - set(np.linspace(1, 18, answered).astype(int).tolist())
    cine = read([0] * 20, abstained=sorted(silent))
    assert all(plane is None for _, _, plane in spans(cine))
    assert cine.best == []
    assert cine.abstained == 20 - answered


def test_half_of_the_frames_name_a_plane() -> None:
    assert spans(read([0] * 20, abstained=range(0, 20, 2))) == [(0, 19, 0)]


def test_answers_without_a_majority_name_no_plane() -> None:
    reader = new_reader()
    for number, plane in enumerate([0, 1, 0, 2] * 5):  # every other answer is plane 0, which leads every average
        reader.add(sure(number, plane, 0.99 if plane == 0 else 0.4), SCENES[0])
    cine = reader.finish()
    assert spans(cine) == [(0, 19, None)]
    assert cine.best == []


def test_a_dense_part_of_a_sparse_shot_keeps_its_plane() -> None:
    cine = read([0] * 60, abstained=[each for each in range(20, 60) if each % 5])
    assert spans(cine) == [(0, 20, 0), (21, 59, None)]
    assert [each.plane for each in cine.best] == ["p0"]


@given(
    shots=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=6),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0, 1),
)
def test_every_named_segment_is_supported(shots: list[tuple[int, int]], seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    scenes = [scene for scene, length in shots for _ in range(length)]
    planes = random.integers(0, 3, len(scenes)).tolist()
    silent = np.flatnonzero(random.random(len(scenes)) < share).tolist()
    cine = read(planes, scenes, silent)
    covered = [index for start, end, _ in spans(cine) for index in range(start, end + 1)]
    assert covered == list(range(len(scenes)))
    for (start, end, plane), segment in zip(spans(cine), cine.segments, strict=True):
        answers = [planes[index] for index in range(start, end + 1) if index not in silent]
        assert segment.abstained == segment.frames - len(answers)
        if plane is not None:
            assert 2 * len(answers) >= segment.frames
            assert 2 * answers.count(plane) > len(answers)
    assert {each.plane for each in cine.best} <= {each.plane for each in cine.segments}


def test_indices_are_the_file_s_own() -> None:
    cine = read([0] * 3 + [1] * 3, step=7)
    assert spans(cine) == [(0, 14, 0), (21, 35, 1)]
    assert cine.cuts == [21]
    assert [each.frame for each in cine.best] == [0, 21]


def test_an_empty_loop_shows_nothing() -> None:
    nothing = CineSummary(file=4, name="a.dcm", count=99, frames=0, abstained=0, cuts=[], segments=[], best=[])
    assert new_reader().finish() == nothing


def drift(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return a picture after `step` frames of a slow sweep: moved, turned, brighter, with new speckle."""
    height, width = pixels.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.5 * step, 1 + 0.002 * step)
    turn[:, 2] += 0.003 * width * step
    moved = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    noise = np.random.default_rng(step).normal(1, 0.2, moved.shape)
    brightened = np.clip(moved * noise * (1 + 0.01 * step), 0, 255)
    return np.asarray(brightened, np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_a_sweep_is_one_shot(seed: int) -> None:
    frames = [shot_signature(drift(speckle(240, 320, seed), step)) for step in range(20)]
    assert not any(is_cut(before, after) for before, after in pairwise(frames))


def test_another_still_is_a_cut() -> None:
    stills = [shot_signature(speckle(240, 320, seed)) for seed in range(12)]
    assert all(is_cut(before, after) for before, after in pairwise(stills))


def test_a_change_of_brightness_is_no_cut() -> None:
    pixels = speckle(240, 320)
    assert not is_cut(shot_signature(pixels), shot_signature(pixels // 3))


def test_from_black_to_a_picture_is_a_cut_and_black_to_black_is_none() -> None:
    black, picture = shot_signature(np.zeros((60, 80), np.uint8)), shot_signature(speckle())
    assert is_cut(black, picture)
    assert is_cut(picture, black)
    assert not is_cut(black, black)


def test_the_signature_of_a_tiny_frame() -> None:
    assert shot_signature(np.array([[7]], np.uint8)).shape == (64,)
