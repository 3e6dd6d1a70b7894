"""A small data set in the layout of FETAL_PLANES_DB: one phantom a plane, drawn in code."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.data.labels import PLANES

MACHINES = ("Voluson E6", "Aloka")
Picture = NDArray[np.uint8]


def _abdomen(frame: Picture) -> None:
    cv2.circle(frame, (80, 60), 40, 150, -1)
    cv2.circle(frame, (65, 50), 9, 20, -1)


def _brain(frame: Picture) -> None:
    cv2.ellipse(frame, (80, 60), (62, 42), 0, 0, 360, 230, 4)
    cv2.line(frame, (25, 60), (135, 60), 180, 2)


def _femur(frame: Picture) -> None:
    cv2.line(frame, (30, 70), (130, 50), 250, 7)


def _thorax(frame: Picture) -> None:
    cv2.circle(frame, (80, 60), 44, 110, -1)
    for x in (62, 98):
        for y in (48, 74):
            cv2.circle(frame, (x, y), 11, 15, -1)


def _cervix(frame: Picture) -> None:
    cv2.rectangle(frame, (20, 20), (140, 100), 120, -1)
    cv2.line(frame, (30, 40), (130, 90), 10, 9)


def _other(frame: Picture) -> None:
    for y in range(15, 110, 14):
        cv2.line(frame, (10, y), (150, y), 170, 3)


DRAWINGS: tuple[Callable[[Picture], None], ...] = (_abdomen, _brain, _femur, _thorax, _cervix, _other)


def phantom(plane: int, seed: int) -> Picture:
    """A phantom of a plane, uint8 [120, 160], with speckle of its own."""
    frame = np.full((120, 160), 40, np.uint8)
    DRAWINGS[plane](frame)
    noise = np.random.default_rng(seed).normal(1, 0.15, frame.shape)
    return np.clip(frame * noise, 0, 255).astype(np.uint8)


def write_phantoms(folder: Path, patients: int = 12, frames_each: int = 1) -> Path:
    """Write a data set of `patients` women, each with `frames_each` frames of every plane; every third is a test one.

    The files' names claim a wrong plane, so that whoever reads labels from them fails.
    """
    (folder / "Images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for plane in range(len(PLANES)):
            for take in range(frames_each):
                name = f"Patient{patient:05}_Plane{(plane + 3) % 6 + 1}_{plane * frames_each + take}_of_9"
                seed = (patient * 6 + plane) * 10 + take
                cv2.imwrite(str(folder / "Images" / f"{name}.png"), phantom(plane, seed))
                side = "0 " if patient % 3 == 2 else "1 "
                machine = MACHINES[patient % 2]
                rows.append([name, str(patient), PLANES[plane].label, "Not A Brain", "Op. 1", machine, side])
    write_table(folder, rows)
    return folder


def write_table(folder: Path, rows: list[list[str]]) -> None:
    """Write the table as the original is: semicolons, and a space at the end of the last column."""
    with (folder / "FETAL_PLANES_DB_data.csv").open("w", newline="") as lines:
        writer = csv.writer(lines, delimiter=";")
        writer.writerow(["Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train "])
        writer.writerows(rows)


def draw(file: Path, plane: int, seed: int) -> Path:
    """Write the phantom of a plane to `file` and return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), phantom(plane, seed))
    return file


def write_tree(
    folder: Path, classes: tuple[str, ...] = ("heart", "Spine view"), *, patients: bool = True, women: int = 6
) -> Path:
    """Write one folder per class, with one folder per patient in it unless `patients` is false; one frame each."""
    for plane, name in enumerate(classes):
        for woman in range(women):
            place = folder / name / f"w{woman}" if patients else folder / name
            draw(place / f"{woman}.png", plane, woman * 6 + plane)
    return folder
