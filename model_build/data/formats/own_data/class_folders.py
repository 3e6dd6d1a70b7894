"""A user's own data as one folder per class, with or without folders of patients and of splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_build.data.formats.own_data.dataset_toml import DATASET_TOML, Statements, read_statements
from model_build.data.formats.own_data.folder_files import count_frames, walk
from model_build.data.formats.own_data.index import LabeledFile, OwnData, build_index
from model_build.data.formats.own_data.plane_ids import clean_label
from model_build.data.formats.own_data.split_names import SPLIT_NAMES, is_like_split, split_of
from model_build.data.records import DataError, DatasetIndex, Skipped, listing
from service.errors import Problem
from service.schemas.file_names import path_text

_LAYOUTS = (
    "it must hold FETAL_PLANES_DB_data.csv, African_planes_database.csv, labels.csv, or one folder per class with "
    "frames (class/frame.png or class/patient/frame.png)"
)
_MAX_NAMED = 20  # files in an error message
# A skipped file with one of these names was meant as a frame, so its class must not vanish with it.
_MEANT_AS_FRAMES = {
    ".heic", ".heif", ".avif", ".gif", ".jp2", ".j2k", ".jxl", ".tga", ".ppm", ".pgm", ".raw", ".npy",
    ".mp4", ".m4v", ".avi", ".mov", ".mpg", ".mpeg", ".wmv", ".mkv", ".webm", ".nii", ".nrrd", ".mha", ".gz", ".zip",
}  # fmt: skip


@dataclass(frozen=True)
class _File:
    path: Path
    parts: tuple[str, ...]  # readable names of its folders below the data set, and its own
    frames: int


def read_class_folders(folder: Path) -> DatasetIndex:
    """Read `class/frame.png` or `class/patient/.../frame.png`, optionally below `train`, `val` and `test`.

    Raises DataError where the folders are of another layout: it names the folder. A folder of a split is never a class.
    """
    statements, skipped = read_statements(folder), list[Skipped]()
    files = _find_files(folder, skipped)
    if not files:
        raise DataError(f"{path_text(folder)} is not a data set: {_LAYOUTS}{_examples(skipped)}")
    splits = _splits(folder, files, statements)
    depth = int(bool(splits))  # of the class folders
    _check_depth(folder, files, depth)
    _check_classes(folder, files, depth, statements)
    _check_no_class_vanishes(folder, files, skipped, depth)
    patients_known = len(files[0].parts) - depth > 2
    labeled = [
        LabeledFile(
            path=file.path,
            label=clean_label(file.parts[depth]),
            patient=file.parts[depth + 1] if patients_known else "/".join(file.parts),
            frames=file.frames,
            split=split_of(file.parts[0]) if splits else None,
        )
        for file in files
    ]
    return build_index(OwnData(folder, path_text(folder), labeled, statements, patients_known, tuple(skipped)))


def _find_files(folder: Path, skipped: list[Skipped]) -> list[_File]:
    """Return the files that hold frames, in the order of their paths; all others are added to `skipped`."""
    files = []
    for path in sorted(walk(folder, skipped)):
        parts = tuple(map(path_text, path.relative_to(folder).parts))
        if parts == (DATASET_TOML,) or not parts:
            continue
        try:
            if path.is_dir():
                skipped.append(Skipped(path, "an empty folder"))
            else:
                files.append(_File(path, parts, count_frames(path)))
        except Problem as problem:
            skipped.append(Skipped(path, str(problem)))
    return files


def _splits(folder: Path, files: Sequence[_File], statements: Statements) -> set[str]:
    """Return the folders of splits at the top, none where the classes are there."""
    tops = sorted({file.parts[0] for file in files if len(file.parts) > 1})
    splits = [name for name in tops if split_of(name) and clean_label(name) not in statements.ids]
    others = [name for name in tops if name not in splits]
    if splits and others:
        raise DataError(
            f"{path_text(folder)}: {', '.join(others)} with frames is next to the splits {', '.join(splits)}; move "
            f"{'it' if len(others) == 1 else 'them'} into a split, or rename the folders to {SPLIT_NAMES}"
        )
    for name in splits:
        same = [each for each in splits if split_of(each) == split_of(name)]
        if len(same) > 1:
            raise DataError(
                f"{path_text(folder)}: {' and '.join(same)} name the same split; put their classes together"
            )
    return set(splits)


def _check_depth(folder: Path, files: Sequence[_File], depth: int) -> None:
    """Raise DataError where a frame is outside of a class, or only some frames are in a folder of their patient."""
    loose = ["/".join(file.parts) for file in files if len(file.parts) - depth < 2]
    if loose:
        raise DataError(
            listing(f"{path_text(folder)}: every frame must be in the folder of a class, but not", loose, _MAX_NAMED)
        )
    unknown = next((file for file in files if len(file.parts) - depth == 2), None)
    known = next((file for file in files if len(file.parts) - depth > 2), None)
    if unknown and known:
        raise DataError(
            f"{path_text(folder)}: some frames are in a patient's folder (class/patient/frame.png), such as "
            f"{'/'.join(known.parts)}, others are not, such as {'/'.join(unknown.parts)}"
        )


def _check_classes(folder: Path, files: Sequence[_File], depth: int, statements: Statements) -> None:
    """Raise DataError where a class or a patient has the name of a split."""
    for file in files:
        label, below = file.parts[depth], file.parts[depth + 1 : -1]
        if is_like_split(label) and clean_label(label) not in statements.ids:
            raise DataError(
                f"{path_text(folder)}: the folder {'/'.join(file.parts[: depth + 1])} is where a class should be, but "
                f"is named like a split; rename it to {SPLIT_NAMES}, or give the class an id in [planes] of "
                f"{DATASET_TOML}"
            )
        side = next((name for name in below if split_of(name)), None)
        if side:
            raise DataError(
                f"{path_text(folder)}: {'/'.join(file.parts[:-1])} has the folder of a split, {side}, below a class; "
                "splits must be at the top: train/class/patient/frame.png"
            )


def _check_no_class_vanishes(folder: Path, files: Sequence[_File], skipped: Sequence[Skipped], depth: int) -> None:
    """Raise DataError where the folder of a class or a split holds no frame, although it is empty or frames were meant.

    A class may be missing on one side of a split.
    """
    places = {file.parts[: place + 1] for file in files for place in range(depth + 1)}
    labels = {clean_label(file.parts[depth]) for file in files}
    for each in skipped:
        parts, is_folder = tuple(map(path_text, each.path.relative_to(folder).parts)), each.path.is_dir()
        if not is_folder and each.path.suffix.lower() not in _MEANT_AS_FRAMES:
            continue
        for place in range(min(depth + 1, len(parts) - (not is_folder))):
            missing = parts[: place + 1] not in places
            if missing and not (depth == place == 1 and clean_label(parts[1]) in labels):
                name = "/".join(parts[: place + 1])
                raise DataError(f"{path_text(folder)}: no frame of the folder {name} can be read{_examples([each])}")


def _examples(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    return f" (skipped: {len(skipped)}, such as {path_text(skipped[0].path.name)}: {skipped[0].reason})"
