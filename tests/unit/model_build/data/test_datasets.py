from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_build.data.augmentation import augment
from model_build.data.datasets import IGNORE_INDEX, AugmentedDataset, eval_inputs
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.records import Dataset
from model_build.data.samplers import BalancedBatchSampler, balance_weights
from model_build.recipe import Augmentation, Recipe
from service.imaging.letterbox import crop_and_letterbox
from service.imaging.sector import find_sector
from service.schemas.manifest import Preprocessing
from tests.support.tiny_dataset import phantom

STRONG = Augmentation(geometry=2, intensity=2, texture=2, graphics=2, wide_field=2, low_signal=2)
NONE = Augmentation(geometry=0, intensity=0, texture=0, graphics=0)


def test_without_augmentation_training_inputs_are_those_of_the_service() -> None:
    frame = phantom(1, 3)
    picture = augment(frame, find_sector(frame), frame, 64, NONE, np.random.default_rng(0))
    assert np.array_equal(picture, crop_and_letterbox(frame, Preprocessing(size=64, crop="sector")).pixels)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 10_000), level=st.sampled_from([0, 7, 255])
)
def test_any_frame_can_be_augmented(height: int, width: int, seed: int, level: int) -> None:
    random = np.random.default_rng(seed)
    frame = np.full((height, width), level, np.uint8) if level else random.integers(0, 256, (height, width), np.uint8)
    picture = augment(frame, find_sector(frame), phantom(2, 0), 48, STRONG, random)
    assert picture.shape == (48, 48)
    assert picture.dtype == np.uint8


def test_an_augmented_input_depends_on_seed_epoch_and_row_only(phantoms: Path, tiny_recipe: Recipe) -> None:
    records = read_records(phantoms)[:12]
    data = Dataset(load_frames(records), records)
    augmented, again = AugmentedDataset(data, tiny_recipe), AugmentedDataset(data, tiny_recipe)
    forwards = [augmented[row][0].numpy() for row in range(12)]
    backwards = [again[row][0].numpy() for row in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    again.epoch = 1
    assert not np.array_equal(again[0][0].numpy(), forwards[0])
    assert augmented[3][1:] == (records[3].plane, IGNORE_INDEX)


def test_a_stretched_frame_trains_the_sub_plane_head_only(phantoms: Path, tiny_recipe: Recipe) -> None:
    records = [replace(record, sub_plane=2, stretched=True) for record in read_records(phantoms)[:4]]
    augmented = AugmentedDataset(Dataset(load_frames(records), records), tiny_recipe)
    assert [augmented[row][1:] for row in range(4)] == [(IGNORE_INDEX, 2)] * 4


def test_stretched_frames_are_spread_evenly_over_every_batch(phantoms: Path) -> None:
    records = read_records(phantoms)
    records = [replace(record, stretched=row >= 40) for row, record in enumerate(records)]
    sampler = BalancedBatchSampler(records, 0.5, plane_frames=8, stretched_frames=4)
    rows = np.array(list(sampler)).reshape(sampler.batches, sampler.batch_size)
    assert (sampler.batches, sampler.batch_size, len(sampler)) == (5, 12, rows.size)
    assert ((rows >= 40) == (np.arange(12) % 3 == 2)).all()
    drawn = np.bincount(rows[rows >= 40] - 40)
    assert drawn.max() == 1  # 20 of 32 are drawn: none repeats before all were drawn
    assert BalancedBatchSampler(records[:40], 0.5, plane_frames=8, stretched_frames=4).batch_size == 8


def test_evaluation_inputs_are_those_of_the_service(phantoms: Path, tiny_recipe: Recipe) -> None:
    frames = load_frames(read_records(phantoms)[:3])
    inputs = eval_inputs(frames, tiny_recipe.preprocessing)
    assert inputs.shape == (3, 1, 64, 64)
    assert np.array_equal(inputs[2, 0].numpy(), crop_and_letterbox(frames[2], tiny_recipe.preprocessing).pixels)


def test_full_balance_draws_every_plane_of_every_scanner_equally(phantoms: Path) -> None:
    records = read_records(phantoms)
    unequal = [record for record in records if record.plane == 0 or record.patient == "0"]
    weights = balance_weights(unequal, 1.0)
    cells = Counter((record.plane, record.scanner) for record in unequal)
    totals = Counter[tuple[int, str]]()
    for record, weight in zip(unequal, weights.tolist(), strict=True):
        totals[record.plane, record.scanner] += weight
    assert all(value == pytest.approx(1 / len(cells)) for value in totals.values())
    assert balance_weights(unequal, 0.0).std() == pytest.approx(0)
