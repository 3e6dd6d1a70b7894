from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_build.data.augmentation import augment
from model_build.data.datasets import IGNORE_INDEX, AugmentedDataset, eval_inputs
from model_build.data.records import load_frames, read_records
from model_build.data.samplers import BalancedBatchSampler, balance_weights
from model_build.recipe import Augmentation, Recipe
from service.imaging.letterbox import crop_and_letterbox
from service.imaging.sector import find_sector
from service.schemas.manifest import Preprocessing
from tests.support.tiny_dataset import phantom

STRONG = Augmentation(geometry=2, intensity=2, texture=2, graphics=2)
NONE = Augmentation(geometry=0, intensity=0, texture=0, graphics=0)


def test_without_variation_training_sees_what_serving_sees(tiny_recipe: Recipe) -> None:
    frame = phantom(1, 3)
    view = augment(frame, find_sector(frame), frame, 64, NONE, np.random.default_rng(0))
    assert np.array_equal(view, crop_and_letterbox(frame, Preprocessing(size=64, crop="sector"))[0])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 10_000), level=st.sampled_from([0, 7, 255])
)
def test_any_frame_gives_a_view(height: int, width: int, seed: int, level: int) -> None:
    random = np.random.default_rng(seed)
    frame = np.full((height, width), level, np.uint8) if level else random.integers(0, 256, (height, width), np.uint8)
    view = augment(frame, find_sector(frame), phantom(2, 0), 48, STRONG, random)
    assert view.shape == (48, 48)
    assert view.dtype == np.uint8


def test_a_view_depends_on_seed_epoch_and_row_alone(phantoms: Path, tiny_recipe: Recipe) -> None:
    records = read_records(phantoms)[:12]
    frames = load_frames(records)
    views = AugmentedDataset(frames, records, tiny_recipe)
    again = AugmentedDataset(frames, records, tiny_recipe)
    forwards = [views[row][0].numpy() for row in range(12)]
    backwards = [again[row][0].numpy() for row in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    again.epoch = 1
    assert not np.array_equal(again[0][0].numpy(), forwards[0])
    assert views[3][1:] == (records[3].plane, IGNORE_INDEX)


def test_a_stretched_frame_teaches_its_sub_plane_alone(phantoms: Path, tiny_recipe: Recipe) -> None:
    records = [replace(record, sub_plane=2, stretched=True) for record in read_records(phantoms)[:4]]
    views = AugmentedDataset(load_frames(records), records, tiny_recipe)
    assert [views[row][1:] for row in range(4)] == [(IGNORE_INDEX, 2)] * 4


def test_the_stretched_stand_evenly_in_every_batch(phantoms: Path) -> None:
    records = read_records(phantoms)
    records = [replace(record, stretched=row >= 40) for row, record in enumerate(records)]
    order = BalancedBatchSampler(records, 0.5, batch=8, stretched=4)
    rows = np.array(list(order)).reshape(order.batches, order.batch)
    assert (order.batches, order.batch, len(order)) == (5, 12, rows.size)
    assert ((rows >= 40) == (np.arange(12) % 3 == 2)).all()
    drawn = np.bincount(rows[rows >= 40] - 40)
    assert drawn.max() == 1  # 20 of 32: none twice before all have been once
    assert BalancedBatchSampler(records[:40], 0.5, batch=8, stretched=4).batch == 8


def test_served_views_are_those_of_the_service(phantoms: Path, tiny_recipe: Recipe) -> None:
    frames = load_frames(read_records(phantoms)[:3])
    views = eval_inputs(frames, tiny_recipe.preprocessing)
    assert views.shape == (3, 1, 64, 64)
    assert np.array_equal(views[2, 0].numpy(), crop_and_letterbox(frames[2], tiny_recipe.preprocessing)[0])


def test_balance_lifts_rare_planes_and_machines(phantoms: Path) -> None:
    records = read_records(phantoms)
    unequal = [record for record in records if record.plane == 0 or record.patient == "0"]
    weights = balance_weights(unequal, 1.0)
    cells = Counter((record.plane, record.scanner) for record in unequal)
    all_reduce = Counter[tuple[int, str]]()
    for record, weight in zip(unequal, weights.tolist(), strict=True):
        all_reduce[record.plane, record.scanner] += weight
    assert all(value == pytest.approx(1 / len(cells)) for value in all_reduce.values())
    assert balance_weights(unequal, 0.0).std() == pytest.approx(0)
