"""Small data sets of phantoms, drawn in code: in the layout of FETAL_PLANES_DB, as class folders, as a table."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from model_build.data.labels import PLANES
from model_build.data.records import Frame

SCANNERS = ("Voluson E6", "Aloka")


def _abdomen(frame: Frame) -> None:
    cv2.circle(frame, (80, 60), 40, 150, -1)
    cv2.circle(frame, (65, 50), 9, 20, -1)


def _brain(frame: Frame) -> None:
    cv2.ellipse(frame, (80, 60), (62, 42), 0, 0, 360, 230, 4)
    cv2.line(frame, (25, 60), (135, 60), 180, 2)


def _femur(frame: Frame) -> None:
    cv2.line(frame, (30, 70), (130, 50), 250, 7)


def _thorax(frame: Frame) -> None:
    cv2.circle(frame, (80, 60), 44, 110, -1)
    for x in (62, 98):
        for y in (48, 74):
            cv2.circle(frame, (x, y), 11, 15, -1)


def _cervix(frame: Frame) -> None:
    cv2.rectangle(frame, (20, 20), (140, 100), 120, -1)
    cv2.line(frame, (30, 40), (130, 90), 10, 9)


def _other(frame: Frame) -> None:
    for y in range(15, 110, 14):
        cv2.line(frame, (10, y), (150, y), 170, 3)


DRAWINGS: tuple[Callable[[Frame], None], ...] = (_abdomen, _brain, _femur, _thorax, _cervix, _other)


def phantom(plane: int, seed: int) -> Frame:
    """Return a phantom of a plane, uint8 [120, 160], with speckle of `seed`."""
    frame = np.full((120, 160), 40, np.uint8)
    DRAWINGS[plane](frame)
    noise = np.random.default_rng(seed).normal(1, 0.15, frame.shape)
    return np.clip(frame * noise, 0, 255).astype(np.uint8)


def write_phantoms(folder: Path, patients: int = 12, frames_each: int = 1) -> Path:
    """Write a data set with `frames_each` frames of every plane per patient; every third patient is a test patient.

    The file names state a wrong plane, so that code which reads labels from them fails.
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
                scanner = SCANNERS[patient % 2]
                rows.append([name, str(patient), PLANES[plane].label, "Not A Brain", "Op. 1", scanner, side])
    write_table(folder, rows)
    return folder


def write_table(folder: Path, rows: list[list[str]]) -> None:
    """Write the table as published: semicolons, and a space at the end of the last column."""
    with (folder / "FETAL_PLANES_DB_data.csv").open("w", newline="") as lines:
        writer = csv.writer(lines, delimiter=";")
        writer.writerow(["Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train "])
        writer.writerows(rows)


def write_other_organs(folder: Path, sets: tuple[str, ...] = ("liver", "muscle"), count: int = 6) -> Path:
    """Write `count` frames of stripes or blobs for each set of other organs, with their table."""
    lines = ["Image_name,set,organ"]
    (folder / "Images").mkdir(parents=True)
    for number, name in enumerate(sets):
        for row in range(count):
            field = np.random.default_rng((number, row)).random((6, 6 + 30 * number), np.float32)
            frame = cv2.resize(field, (160, 120), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 200 + 20
            cv2.imwrite(str(folder / "Images" / f"{name}{row}.png"), frame.astype(np.uint8))
            lines.append(f"{name}{row}.png,{name},{name}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def draw(file: Path, plane: int, seed: int) -> Path:
    """Write the phantom of a plane to `file` and return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), phantom(plane, seed))
    return file


def write_tree(
    folder: Path, classes: tuple[str, ...] = ("heart", "Spine view"), *, patients: bool = True, count: int = 6
) -> Path:
    """Write one folder per class with one folder per patient, or without patients `count` frames; one frame each."""
    for plane, name in enumerate(classes):
        for patient in range(count):
            place = folder / name / f"p{patient}" if patients else folder / name
            draw(place / f"{patient}.png", plane, patient * 6 + plane)
    return folder


def write_labels_csv(
    folder: Path, columns: tuple[str, ...] = ("path", "label", "patient", "split"), count: int = 6
) -> Path:
    """Write `labels.csv` with three classes and `count` patients; the first patient is the test patient."""
    lines = [",".join(columns)]
    for patient in range(count):
        for plane, label in enumerate(("Heart", "Spine", "Kidney")):
            draw(folder / f"{patient}-{plane}.png", plane, patient * 6 + plane)
            values = {"path": f"{patient}-{plane}.png", "label": label, "patient": f"p{patient}"}
            values |= {"split": "test" if patient == 0 else "train", "scanner": "Aloka"}
            lines.append(",".join(values[column] for column in columns))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
