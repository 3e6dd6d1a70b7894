"""Read a protocol from a TOML file, and bind it to the planes of a model."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from service.analysis.protocols.position import Location, line_of, syntax_line
from service.imaging.files.local_file import open_regular
from service.schemas.manifest import Manifest
from service.schemas.protocols import ItemPlane, Protocol, ProtocolItem, ProtocolSource

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MAX_BYTES = 2**20

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Date = Annotated[
    Annotated[str, Field(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$")],
    BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value),
]


class ProtocolError(Exception):
    """A protocol cannot be used; the message names the file and, where there is one, the line."""


class UnknownPlaneError(ProtocolError):
    """An item of a protocol names a plane that the model lacks."""


class _Strict(BaseModel, extra="forbid"):
    pass


class _Choice(_Strict):
    plane: str | None = None
    sub_plane: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.plane is None) == (self.sub_plane is None):
            raise ValueError("name either `plane` or `sub_plane`")
        return self


class _Item(_Strict):
    plane: str | None = None
    sub_plane: str | None = None
    one_of: list[_Choice] | None = Field(default=None, min_length=2)
    label: Text | None = None
    min: int = Field(default=1, ge=1, le=1000, strict=True)
    optional: bool = Field(default=False, strict=True)
    note: Text | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(each is not None for each in (self.plane, self.sub_plane, self.one_of)) != 1:
            raise ValueError("name exactly one of `plane`, `sub_plane` and `one_of`")
        return self

    @property
    def choices(self) -> list[_Choice]:
        return self.one_of or [_Choice(plane=self.plane, sub_plane=self.sub_plane)]


class _Source(_Strict):
    guideline: Text
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")] | None = None
    date: Date | None = None


class _File(_Strict):
    name: Text
    version: Text
    exam: Text
    source: _Source
    not_covered: Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)] | None = None
    items: list[_Item] = Field(min_length=1, max_length=200)


def read_protocol(path: Path, manifest: Manifest) -> Protocol:
    """Return the protocol of a file.

    Raises
    ------
    ProtocolError
        The file cannot be read, is not TOML, or has an unknown key or a bad value.
    UnknownPlaneError
        The model lacks a plane or a sub-plane of an item.
    """
    if not _ID.fullmatch(path.stem):
        raise ProtocolError(f"{path}: name the file with small letters, digits, - and _ only, as in biometry.toml")
    text = _read(path)
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(f"{path}, line {syntax_line(str(error), text)}: not TOML: {error}") from error
    except ValidationError as error:
        raise ProtocolError(_describe(path, text, error)) from error
    items = [_bind(item, _Place(path, text, number), manifest) for number, item in enumerate(file.items)]
    source = ProtocolSource(**file.source.model_dump())
    return Protocol(
        id=path.stem, name=file.name, version=file.version, exam=file.exam, source=source,
        not_covered=" ".join(file.not_covered.split()) if file.not_covered else None, items=items,
    )  # fmt: skip


def _read(path: Path) -> str:
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ProtocolError(f"{path} is larger than 1 MiB")
        return content.decode()
    except OSError as error:
        raise ProtocolError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ProtocolError(f"{path}, line {line}: not UTF-8") from error


def _describe(path: Path, text: str, error: ValidationError) -> str:
    first = error.errors()[0]
    location: Location = first["loc"]
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in location)
    if first["type"] == "extra_forbidden":
        reason = f"the key `{location[-1]}` is not known"
    else:
        reason = f"`{name}`: {first['msg'].removeprefix('Value error, ')}"
    return f"{path}, line {line_of(text, location)}: {reason}"


class _Place:
    """An item in its file, for messages."""

    def __init__(self, path: Path, text: str, number: int) -> None:
        self._path, self._text, self._number = path, text, number

    def unknown(self, kind: str, wanted: str, known: list[str]) -> UnknownPlaneError:
        """Return the error about a plane that the model lacks."""
        line = line_of(self._text, ("items", self._number), wanted)
        known_text = f"its {kind}s are {', '.join(known)}" if known else f"it has no {kind}s"
        return UnknownPlaneError(f"{self._path}, line {line}: the model has no {kind} `{wanted}`; {known_text}")


def _bind(item: _Item, place: _Place, manifest: Manifest) -> ProtocolItem:
    planes = [_bind_choice(each, place, manifest) for each in item.choices]
    label = item.label or " or ".join(each.label for each in planes)
    return ProtocolItem(label=label, one_of=planes, min=item.min, optional=item.optional, note=item.note)


def _bind_choice(choice: _Choice, place: _Place, manifest: Manifest) -> ItemPlane:
    if choice.plane is not None:
        labels = {plane.id: plane.label for plane in manifest.planes}
        if choice.plane not in labels:
            raise place.unknown("plane", choice.plane, list(labels))
        return ItemPlane(plane=choice.plane, sub_plane=None, label=labels[choice.plane])
    finer = manifest.sub_planes
    labels = {plane.id: plane.label for plane in finer.sub_planes} if finer else {}
    if finer is None or choice.sub_plane not in labels:
        raise place.unknown("sub-plane", choice.sub_plane or "", list(labels))
    return ItemPlane(plane=finer.plane, sub_plane=choice.sub_plane, label=labels[choice.sub_plane])
