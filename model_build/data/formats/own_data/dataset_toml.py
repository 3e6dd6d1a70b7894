"""`dataset.toml`: what a data set says about itself."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from model_build.data.formats.own_data.plane_ids import clean_label
from model_build.data.formats.text_encoding import read_text
from model_build.data.records import DataError, Source
from service.schemas.file_names import path_text

DATASET_TOML = "dataset.toml"

_SOURCE = ("name", "license", "citation")
_KNOWN = (*_SOURCE, "encoding", "planes")


@dataclass(frozen=True)
class Statements:
    """The statements of `dataset.toml`; all are optional."""

    file: Path
    source: Source
    encoding: str | None = None  # of the table
    ids: dict[str, str] = field(default_factory=dict)  # ids of planes by cleaned label


def read_statements(folder: Path) -> Statements:
    """Read `dataset.toml` of a folder; raises DataError, with file, line and choices, where it cannot be used."""
    file = folder / DATASET_TOML
    stated = _read_toml(file) if file.is_file() else {}
    unknown = sorted(set(stated) - set(_KNOWN))
    if unknown:
        raise DataError(f"{path_text(file)}: {', '.join(unknown)} is not known; use {', '.join(_KNOWN)}")
    texts = {key: value for key, value in stated.items() if key != "planes"}
    ids = stated.get("planes", {})
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{path_text(file)}: {key} must be text in quotes, not {value!r}")
    if not isinstance(ids, dict):
        raise DataError(f'{path_text(file)}: planes must be a table [planes] with lines such as "Kopf" = "head"')
    for label, plane in ids.items():
        if not isinstance(plane, str):
            raise DataError(f"{path_text(file)}: the id of {label!r} must be text in quotes, not {plane!r}")
    source = {"name": path_text(folder.resolve().name)} | {key: str(texts[key]) for key in _SOURCE if key in texts}
    return Statements(
        file,
        Source(**source),
        str(texts["encoding"]) if "encoding" in texts else None,
        {clean_label(label): plane for label, plane in ids.items()},
    )


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path_text(file)} is not valid TOML: {error}") from error
