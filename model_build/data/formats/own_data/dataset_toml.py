"""`dataset.toml`: what a data set says about itself."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from model_build.data.formats.own_data.plane_ids import clean_label, is_plane_id
from model_build.data.formats.text_encoding import read_text
from model_build.data.records import DataError, Source
from model_build.recipe import line_of
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
    text = read_text(file) if file.is_file() else ""
    stated = _parse(text, file)
    unknown = sorted(set(stated) - set(_KNOWN))
    if unknown:
        raise _error(file, text, unknown[0], f"{', '.join(unknown)} is not known; use {', '.join(_KNOWN)}")
    texts = {key: value for key, value in stated.items() if key != "planes"}
    ids = stated.get("planes", {})
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise _error(file, text, key, f"{key} must be text in quotes, not {value!r}")
    if not isinstance(ids, dict):
        raise _error(file, text, "planes", 'planes must be a table [planes] with lines such as "Kopf" = "head"')
    for label, plane in ids.items():
        if not isinstance(plane, str):
            raise _error(file, text, label, f"the id of {label!r} must be text in quotes, not {plane!r}")
        if not is_plane_id(plane):
            raise _error(
                file, text, label, f"the id {plane!r} must be small letters a to z, digits and _, a letter first"
            )
    source = {"name": path_text(folder.resolve().name)} | {key: str(texts[key]) for key in _SOURCE if key in texts}
    return Statements(
        file,
        Source(**source),
        str(texts["encoding"]) if "encoding" in texts else None,
        {clean_label(label): plane for label, plane in ids.items()},
    )


def _parse(text: str, file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path_text(file)} is not valid TOML: {error}") from error


def _error(file: Path, text: str, key: str, reason: str) -> DataError:
    return DataError(f"{path_text(file)}{line_of(text, key)}: {reason}")
