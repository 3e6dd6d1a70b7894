"""The planes of a user's own labels: an id for the API, and the label that people read."""

from collections.abc import Iterable

from model_build.data.formats.own_data.dataset_toml import Statements
from model_build.data.formats.own_data.plane_ids import plane_id
from model_build.data.labels import PLANES
from model_build.data.records import DataError
from service.schemas.file_names import path_text
from service.schemas.manifest import Plane


def own_planes(labels: Iterable[str], statements: Statements, origin: str) -> tuple[tuple[Plane, ...], dict[str, int]]:
    """Return the planes of cleaned labels, sorted by id with `other` last, and each label's class number.

    `origin` names the data set in messages. Raises DataError where there is one label, or where two labels have one id.
    """
    distinct = sorted(set(labels))
    stated = _stated_ids(statements, distinct)
    ids = {label: stated.get(label) or plane_id(label) for label in distinct}
    if len(ids) < 2:
        raise DataError(f"{origin} has one class, {distinct[0]!r}; a classifier needs at least two")
    for plane in ids.values():
        same = [label for label in distinct if ids[label] == plane]
        if len(same) > 1:
            raise DataError(
                f"{origin}: the labels {' and '.join(map(ascii, same))} have the same id in the API, {plane}; write "
                "them alike if they are one class, else give ids in [planes] of dataset.toml"
            )
    known = {plane.id: plane for plane in PLANES}
    planes = {
        label: known[plane]
        if plane in known and label not in stated
        else Plane(id=plane, label=_shown(label, distinct))
        for label, plane in ids.items()
    }
    order = sorted(planes, key=lambda label: (ids[label] == "other", ids[label]))
    return tuple(planes[label] for label in order), {label: number for number, label in enumerate(order)}


def _stated_ids(statements: Statements, labels: list[str]) -> dict[str, str]:
    """Return the ids of `dataset.toml` by label; raises DataError where no frame has a label."""
    for label in statements.ids:
        if label not in labels:
            raise DataError(
                f"{path_text(statements.file)}, [planes]: no frame has the label {label!r}; the labels are "
                f"{', '.join(labels)}"
            )
    return statements.ids


def _shown(label: str, labels: list[str]) -> str:
    """Return `Spine view` for `spine_view`, unless that is another label; any other label as it is."""
    shown = label if " " in label or label != label.lower() else label.replace("_", " ").capitalize()
    return label if shown in labels else shown
