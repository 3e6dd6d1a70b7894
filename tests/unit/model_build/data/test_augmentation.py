"""Augmentation by what it does to a frame."""

import cv2
import numpy as np
import pytest

from model_build.data.augmentation import low_signal, wide_field
from model_build.data.negatives.scan_geometry import outline
from model_build.data.records import Frame

ALWAYS = 100.0  # a magnitude at which every chance is taken


def frame_with_a_body() -> Frame:
    """Return gray tissue that fills a rectangle, with a white disk of radius 40 in its middle."""
    frame = np.zeros((160, 200), np.uint8)
    frame[10:150, 20:180] = 60
    return np.asarray(cv2.circle(frame, (100, 80), 40, 250, -1), np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_field_shows_the_body_smaller_in_the_same_area(seed: int) -> None:
    frame = frame_with_a_body()
    picture = wide_field.augment(frame, ALWAYS, np.random.default_rng(seed))
    before, now = int((frame > 200).sum()), int((picture > 200).sum())
    assert 0.05 * before < now < 0.75 * before
    assert picture[~outline(frame)].max() == 0
    assert picture[outline(frame)].mean() > 10  # tissue surrounds the body


def test_some_wide_fields_show_two_bodies() -> None:
    counts = []
    for seed in range(30):
        picture = wide_field.augment(frame_with_a_body(), ALWAYS, np.random.default_rng(seed))
        closed = cv2.morphologyEx((picture > 200).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        counts.append(cv2.connectedComponents(closed)[0] - 1)
    assert 1 in counts
    assert 2 in counts


def test_a_low_signal_is_darker_and_noise_fills_the_dark_of_the_area_only() -> None:
    frame = frame_with_a_body()
    cv2.circle(frame, (100, 80), 30, 0, -1)  # fluid
    picture = low_signal.augment(frame, ALWAYS, np.random.default_rng(0))
    assert picture[frame > 200].mean() < 200
    assert picture[70:90, 90:110].std() > 1
    assert picture[~outline(frame)].max() == 0


def test_low_signal_and_wide_field_are_off_at_magnitude_zero() -> None:
    frame = frame_with_a_body()
    for kind in (low_signal, wide_field):
        assert np.array_equal(kind.augment(frame, 0, np.random.default_rng(0)), frame)
