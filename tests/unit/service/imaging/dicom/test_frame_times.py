"""The times of the frames of a loop, as the object states them."""

from typing import Any

import pytest

from service.imaging.decode import open_frames
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle

FRAMES = [speckle(40, 56, seed) for seed in range(5)]
FRAME_TIME, VECTOR = 0x0018_1063, 0x0018_1065
NOTHING = {"FrameTime": None, "FrameIncrementPointer": None}
STEADY = [0, 40, 80, 120, 160]
VARIED: dict[str, Any] = {"FrameTimeVector": [0, 33.3, 33.3, 100, 20]}


def times(**changes: Any) -> list[int] | None:
    found = open_frames(dicoms.native(FRAMES, **changes)).times
    return None if found is None else list(found)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, STEADY),
        (NOTHING, None),
        ({"FrameTime": "33.333"}, [0, 33, 67, 100, 133]),
        (VARIED | {"FrameIncrementPointer": VECTOR}, [0, 33, 67, 167, 187]),
        (VARIED | {"FrameIncrementPointer": FRAME_TIME}, STEADY),
        (VARIED | {"FrameIncrementPointer": None}, [0, 33, 67, 167, 187]),
        (VARIED | NOTHING, [0, 33, 67, 167, 187]),
        ({"FrameIncrementPointer": VECTOR}, STEADY),
        (NOTHING | {"CineRate": 20}, [0, 50, 100, 150, 200]),
        (NOTHING | {"RecommendedDisplayFrameRate": 50}, [0, 20, 40, 60, 80]),
        (NOTHING | {"CineRate": 20, "RecommendedDisplayFrameRate": 50}, [0, 50, 100, 150, 200]),
        ({"FrameTime": 0, "CineRate": 10}, [0, 100, 200, 300, 400]),
        # The first value is 0 by definition, whatever a scanner writes.
        (NOTHING | {"FrameTimeVector": [40] * 5}, STEADY),
        (NOTHING | {"FrameTimeVector": [0, 0.4, 0.4, 0.4, 0.4]}, [0, 0, 1, 1, 2]),
    ],
)
def test_what_states_the_times(stated: dict[str, Any], expected: list[int] | None) -> None:
    assert times(**stated) == expected


@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT, dicoms.BIG, dicoms.DEFLATED])
def test_the_pointer_is_read_in_every_byte_order(syntax: str) -> None:
    frames = open_frames(dicoms.native(FRAMES, syntax, **VARIED, FrameIncrementPointer=FRAME_TIME))
    assert list(frames.times or ()) == STEADY


@pytest.mark.parametrize(
    "stated",
    [
        {"FrameTimeVector": [0, 40, 40]},
        {"FrameTimeVector": [0] * 5},
        {"FrameTimeVector": [0, 40, -40, 40, 40]},
        {"FrameTimeVector": ["0", "40", "1e9", "40", "40"]},
        {"FrameTimeVector": [0, 40, 40, 40, 40] * 400},
        {"FrameTime": "-40"},
        {"FrameTime": "1e300"},
        {"CineRate": 0},
        {"CineRate": 100_000},
        {"RecommendedDisplayFrameRate": -5},
    ],
)
def test_what_cannot_be_right_counts_as_missing(stated: dict[str, Any]) -> None:
    assert times(**NOTHING | stated) is None


def test_each_frame_has_its_time_and_a_still_has_none() -> None:
    frames = open_frames(dicoms.native(FRAMES, **VARIED, FrameIncrementPointer=VECTOR))
    assert [frames.read(number).seconds for number in (3, 0, 4)] == [0.167, 0, 0.187]
    still = open_frames(dicoms.native(FRAMES[:1], FrameTime=40))
    assert (still.times, still.read(0).seconds) == (None, None)
