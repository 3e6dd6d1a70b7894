"""A small data set whose brain frames have sub-planes."""

from pathlib import Path

import cv2

from model_build.data.labels import SUB_PLANES
from tests.support.tiny_dataset import phantom, write_table

SUB_PLANE_LABELS = tuple(plane.label for plane in SUB_PLANES)
PLANE_LABELS = ("Fetal abdomen", "Fetal brain", "Fetal femur", "Fetal thorax", "Maternal cervix", "Other")


def write_sub_plane_phantoms(folder: Path, patients: int, sub_planes: tuple[str, ...], planes: tuple[str, ...]) -> Path:
    """Write phantoms of every plane; a brain frame has a bar whose thickness is the number of its sub-plane."""
    (folder / "Images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for number, plane in enumerate(planes):
            for take, name in enumerate(sub_planes if plane == "Fetal brain" else ("Not A Brain",)):
                frame = phantom(1 if plane == "Fetal brain" else (0, 1, 2, 3, 4, 5)[number], patient * 6 + take)
                cv2.rectangle(frame, (70, 40), (90, 44 + 12 * take), 255, -1)
                file = f"p{folder.name}{patient}_{number}_{take}"
                cv2.imwrite(str(folder / "Images" / f"{file}.png"), frame)
                side = "0 " if patient % 3 == 2 else "1 "
                rows.append([file, str(patient), plane, name, "Op. 1", "Aloka", side])
    write_table(folder, rows)
    return folder
