"""Frames that keep the probe and lose the anatomy."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_build.data.negatives.anatomy import scan_convert, shuffle_blocks, texture_patch, warp
from model_build.data.negatives.color_flow import with_gray_flow
from model_build.data.negatives.scan_geometry import ScanGeometry, find_apex, outline
from model_build.data.records import Frame

CHANGES = (shuffle_blocks, warp, lambda frame, random: scan_convert(speckle((90, 120)), frame))


def speckle(shape: tuple[int, int], seed: int = 0) -> Frame:
    return np.random.default_rng(seed).integers(60, 200, shape).astype(np.uint8)


def sector(apex: tuple[float, float], inner: float, outer: float, half_angle: float, seed: int = 0) -> Frame:
    """Return a speckled sector of a convex probe, uint8 [240, 320]."""
    y, x = np.mgrid[:240, :320].astype(np.float64)
    radius, angle = np.hypot(x - apex[0], y - apex[1]), np.abs(np.arctan2(x - apex[0], y - apex[1]))
    return np.where((radius >= inner) & (radius <= outer) & (angle <= half_angle), speckle((240, 320), seed), 0).astype(
        np.uint8
    )


SECTORS = {
    "convex": sector((160, -60), 70, 290, 0.55),
    "transvaginal": sector((150, 10), 25, 220, 1.0),
    "tip in the frame": sector((160, 5), 0, 225, 0.6),
}


@pytest.mark.parametrize(("name", "apex"), [("convex", (160, -60)), ("transvaginal", (150, 10))])
def test_the_apex_is_where_the_beams_meet(name: str, apex: tuple[float, float]) -> None:
    found = find_apex(outline(SECTORS[name]))
    assert found is not None
    assert np.hypot(found[0] - apex[0], found[1] - apex[1]) < 12


def test_a_linear_probe_has_no_apex() -> None:
    frame = np.zeros((240, 320), np.uint8)
    frame[20:200, 30:290] = speckle((180, 260))
    assert find_apex(outline(frame)) is None


def test_the_outline_has_no_text_and_no_holes() -> None:
    frame = SECTORS["convex"].copy()
    expected = frame > 0
    cv2.circle(frame, (160, 120), 20, 0, -1)  # a cyst
    cv2.putText(frame, "MI 1.2", (4, 236), cv2.FONT_HERSHEY_SIMPLEX, 0.3, 200, 1)
    assert (outline(frame) == expected).mean() > 0.97


@pytest.mark.parametrize("name", SECTORS)
def test_coordinates_lead_back_to_the_pixel(name: str) -> None:
    geometry = ScanGeometry.of(SECTORS[name])
    x, y = geometry.pixels(geometry.across, geometry.depth)
    expected_y, expected_x = np.mgrid[:240, :320]
    inside = geometry.area
    assert np.abs(x - expected_x)[inside].max() < 0.05
    assert np.abs(y - expected_y)[inside].max() < 0.05


@pytest.mark.parametrize("name", SECTORS)
@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_the_area_stays_and_the_inside_changes(name: str, number: int) -> None:
    frame = SECTORS[name]
    changed = CHANGES[number](frame, np.random.default_rng(1))
    inside = outline(frame)
    assert changed[~inside].max() == 0
    assert (changed[inside] > 0).mean() > 0.7
    assert np.corrcoef(changed[inside], frame[inside])[0, 1] < 0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(8, 70), st.integers(8, 70), st.integers(0, 2**32 - 1), st.sampled_from(["black", "speckle", "dots"]))
def test_no_frame_fails(height: int, width: int, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    frame = speckle((height, width), seed) * np.uint8(kind != "black")
    if kind == "dots":
        frame *= (random.random((height, width)) < 0.02).astype(np.uint8)
    for change in (*CHANGES, with_gray_flow):
        changed = change(frame, random)
        assert changed.shape == frame.shape
        assert changed.dtype == np.uint8
    assert min(texture_patch(frame, random).shape) >= 2
