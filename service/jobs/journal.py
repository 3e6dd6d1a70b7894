"""What has been done, one JSON line a frame, so that a run that was killed goes on where it was."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.answers import Classification
from service.schemas.problems import ProblemDetails


class ResultRow(BaseModel):
    """A line: one frame, and either what it shows or why it was refused."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="Its path below the folder, or its SOP Instance UID.")
    frame: int = Field(description="From 0.")
    frames: int | None = Field(description="How many the file has; null where that could not be found out.")
    answer: Classification | None = Field(description="As `/classify` answers.")
    problem: ProblemDetails | None = Field(description="As `/classify` refuses.")
    dicom: list[str] = Field(description="The DICOM objects written about it: file names, or SOP Instance UIDs.")


class ResultLogError(Exception):
    """The journal cannot be continued; the message says why."""


class ResultLog:
    """Appends rows to a file, each whole or not at all.

    Parameters
    ----------
    path
        The file of JSON lines; where it exists, the run goes on. Its last line is dropped if it was cut short.
    model_sha256
        The model that answers: rows of two models do not belong into one journal.

    Raises
    ------
    JournalError
        The file holds rows of another model, or lines that are no rows.
    """

    def __init__(self, path: Path, model_sha256: str) -> None:
        self.path = path
        self._frames: dict[str, int | None] = {}
        self._done: dict[str, set[int]] = {}
        _drop_torn_line(path)
        for row in self.rows():
            if row.answer is not None and row.answer.model.sha256 != model_sha256:
                raise ResultLogError(f"{path} holds answers of another model; choose another folder")
            self._note(row)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self) -> Iterator[ResultRow]:
        """Every row so far, in the order in which they were written."""
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    yield ResultRow.model_validate_json(line)
                except ValueError as error:
                    raise ResultLogError(f"{self.path} is not a journal of this program") from error

    def frames_of(self, file: str) -> int | None:
        """How many frames a file has that the journal knows; None for any other."""
        return self._frames.get(file)

    def has(self, file: str, frame: int) -> bool:
        """Whether a frame has its row."""
        return frame in self._done.get(file, ())

    def write(self, row: ResultRow) -> None:
        """Append a row; it is in the file, if not on the disk, when this returns."""
        self._file.write(row.model_dump_json().encode() + b"\n")
        self._file.flush()
        self._note(row)

    def _note(self, row: ResultRow) -> None:
        self._frames[row.file] = row.frames or self._frames.get(row.file)
        self._done.setdefault(row.file, set()).add(row.frame)


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        contents = file.read()
        whole = contents.rfind(b"\n") + 1
        if whole < len(contents):
            file.truncate(whole)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file so that it is never seen half-written."""
    write_whole(path, json.dumps(value, indent=2).encode() + b"\n")


def write_whole(path: Path, contents: bytes) -> None:
    """Write a file so that it is never seen half-written."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(contents)
    draft.replace(path)
