"""Inputs that are not fetal ultrasound, to test abstention with: synthetic, or shipped inside Python packages."""

import string
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import skimage
from numpy.random import Generator
from pydicom import examples

from model_build.data.records import Frame, Frames
from service.imaging.decode import decode_frame

_ULTRASOUND = ("rgb_color", "palette_color", "ybr_color", "jpeg2k")
_PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "rocket", "motorcycle_left", "hubble_deep_field")
_SLICES = ("ct", "mr")


def ood_inputs(each: int = 40) -> dict[str, list[Frame]]:
    """Return about `each` gray inputs, uint8 [H, W], by kind."""
    inputs = {kind: [make(np.random.default_rng((0, row))) for row in range(each)] for kind, make in _DRAWN.items()}
    folder, random = Path(skimage.__file__).parent / "data", np.random.default_rng(0)
    photographs = sorted(path for path in folder.iterdir() if path.stem in _PHOTOGRAPHS)
    inputs["photograph"] = _random_crops([decode_frame(path.read_bytes()).pixels for path in photographs], each, random)
    inputs["other organ's ultrasound"] = [frame for name in _ULTRASOUND for frame in _dicom_frames(name, limit=10)]
    inputs["CT, MR"] = _random_crops([_slice(name) for name in _SLICES], each, random)
    return inputs


def _random_crops(pictures: Frames, count: int, random: Generator) -> list[Frame]:
    crops = []
    for row in range(count):
        picture, share = pictures[row % len(pictures)], float(random.uniform(0.5, 1))
        rows, columns = int(picture.shape[0] * share), int(picture.shape[1] * share)
        top = int(random.integers(picture.shape[0] - rows + 1))
        left = int(random.integers(picture.shape[1] - columns + 1))
        crops.append(picture[top : top + rows, left : left + columns])
    return crops


def _blank(random: Generator) -> Frame:
    shape = int(random.integers(100, 700)), int(random.integers(100, 900))
    return np.full(shape, int(random.integers(256)), np.uint8)


def _noise(random: Generator) -> Frame:
    shape = (int(random.integers(100, 500)), int(random.integers(100, 700)))
    field = cv2.GaussianBlur(random.random(shape, np.float32), (0, 0), float(random.uniform(0.3, 4)))
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / (high - low) * random.uniform(60, 255), np.uint8)


def _page(random: Generator) -> Frame:
    paper, ink = (245, 20) if random.random() < 0.7 else (0, 220)
    page = np.full((700, 500), paper, np.uint8)
    letters = list(string.ascii_letters + "     ,.")
    for line in range(40, 690, int(random.integers(16, 40))):
        words = "".join(random.choice(letters, int(random.integers(15, 60))))
        cv2.putText(page, words, (30, line), cv2.FONT_HERSHEY_SIMPLEX, float(random.uniform(0.35, 0.6)), ink, 1)
    return page


def _chart(random: Generator) -> Frame:
    chart = np.full((400, 600), 255, np.uint8)
    cv2.rectangle(chart, (50, 20), (580, 360), 0, 1)
    for _ in range(int(random.integers(1, 5))):
        points = np.stack([np.linspace(50, 580, 60), 190 + np.cumsum(random.normal(0, 12, 60))], 1).astype(np.int32)
        cv2.polylines(chart, [points], False, int(random.integers(0, 160)), 2)
    return chart


def _field(random: Generator) -> Frame:
    coarse = random.random((6, 6), np.float32)
    return np.asarray(cv2.resize(coarse, (500, 400), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255, np.uint8)


_DRAWN = {"blank": _blank, "noise": _noise, "text page": _page, "chart": _chart, "smooth field": _field}


def _slice(name: str) -> Frame:
    """Return a slice that ships with pydicom, scaled to gray levels. The service itself refuses CT and MR."""
    values = pydicom.dcmread(examples.get_path(name)).pixel_array.astype(np.float64)
    scaled = (values - values.min()) / np.ptp(values) * 255
    return np.asarray(cv2.resize(scaled.astype(np.uint8), None, fx=3, fy=3), np.uint8)


def _dicom_frames(name: str, limit: int) -> Iterator[Frame]:
    """Yield up to `limit` evenly spaced frames of a file that ships with pydicom."""
    data = examples.get_path(name).read_bytes()
    count = decode_frame(data).count
    for index in range(0, count, max(1, count // limit)):
        yield decode_frame(data, index=index).pixels
