"""Corrected frames of a site, as the page exports them: a folder with `labels.csv`."""

import csv
from pathlib import Path

import cv2
import numpy as np

from model_build.data.labels import PLANES
from model_build.data.records import Frame
from tests.support.tiny_dataset import phantom

COLUMNS = ("path", "label", "patient", "machine")
STRANGE = 2
"""The plane that the site's scanner draws otherwise: Fetal femur."""


def site_frame(plane: int, seed: int) -> Frame:
    """Return a phantom as the site's scanner draws it: `STRANGE` stands upright, on a dark field."""
    frame = phantom(plane, seed)
    if plane != STRANGE:
        return frame
    turned = cv2.resize(cv2.rotate(frame, cv2.ROTATE_90_CLOCKWISE), frame.shape[::-1])
    return np.asarray(np.where(turned > 120, 255, turned // 2), np.uint8)


def write_corrections(folder: Path, patients: int = 10) -> Path:
    """Write frames of two planes per patient, `STRANGE` and one that the model knows."""
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        for patient in range(patients):
            for plane in (STRANGE, 3):
                name = f"{patient}-{plane}.png"
                cv2.imwrite(str(folder / name), site_frame(plane, 9_000 + 10 * patient + plane))
                label = PLANES[plane].label
                writer.writerow({"path": name, "label": label, "patient": f"s{patient}", "machine": "Sonic"})
    return folder
