"""The results log of a folder: one JSON line per frame, so that an interrupted job continues where it stopped."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from service.analysis.code_digest import decision_digest
from service.inference.package import ModelPackage
from service.jobs import JobError
from service.jobs.rows import Counts, ResultRow
from service.schemas import Schema

ROWS, KEY = "frames.jsonl", "job.json"


class JobKey(Schema):
    """What decides an answer, besides the frame. Rows with different keys never share a folder."""

    model_sha256: str = Field(description="Hash of the model package.")
    decision_digest: str = Field(description="Hash of the code that decodes and crops a frame and decides on it.")

    @classmethod
    def of(cls, package: ModelPackage) -> "JobKey":
        """Return the key of a job that this process would begin."""
        return cls(model_sha256=package.sha256, decision_digest=decision_digest())

    def difference(self, earlier: "JobKey") -> str | None:
        """Return what differs from an earlier job, as a clause for a message; None if nothing does."""
        if earlier.model_sha256 != self.model_sha256:
            return "it holds answers of another model"
        if earlier.decision_digest != self.decision_digest:
            return "it holds answers of another version of the program, whose code decides differently"
        return None


class ResultLog:
    """Appends rows to `frames.jsonl`; each line is written whole or not at all.

    If the folder holds a log, the job continues it. Raises `JobError` if that log belongs to a job with another key, or
    holds lines of another kind.
    """

    def __init__(self, folder: Path, key: JobKey) -> None:
        self.counts = Counts()
        self._path = folder / ROWS
        self._frames: dict[str, int | None] = {}
        self._done: defaultdict[str, set[int]] = defaultdict(set)
        _check_key(folder, key)
        with self._path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # a killed process may have left a partial last line
        for row in self.rows():
            self._note(row)
        write_whole(folder / KEY, key.model_dump_json(indent=2).encode() + b"\n")
        self._file = self._path.open("ab")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def rows(self) -> Iterator[ResultRow]:
        """Yield every row so far, in the order in which they were written."""
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    yield ResultRow.model_validate_json(line)
                except ValueError as error:
                    raise JobError(f"{self._path} is not a results log of this program") from error

    def write(self, row: ResultRow) -> None:
        """Append one row."""
        # One write and a flush: a killed process leaves at most one partial line, the last.
        self._file.write(row.model_dump_json().encode() + b"\n")
        self._file.flush()
        self._note(row)

    def _note(self, row: ResultRow) -> None:
        self.counts.add(row)
        self._frames[row.file] = row.frames or self._frames.get(row.file)
        self._done[row.file].add(row.frame)

    def frame_count(self, file: str) -> int | None:
        """Return the number of frames in a file that has a row; None for any other file."""
        return self._frames.get(file)

    def has(self, file: str, frame: int) -> bool:
        """Return whether the log has the row of this frame."""
        return frame in self._done.get(file, ())


def _check_key(folder: Path, key: JobKey) -> None:
    log = folder / ROWS
    if not log.exists() or not log.stat().st_size:
        return
    try:
        earlier = JobKey.model_validate_json((folder / KEY).read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"{log} has no valid {KEY} next to it; choose another folder") from error
    if difference := key.difference(earlier):
        raise JobError(f"{folder} cannot be continued: {difference}; choose another folder")


def write_whole(path: Path, contents: bytes) -> None:
    """Write a file that readers see either whole or not at all."""
    # Two workers may write the same object at the same time: two files can hold one SOP Instance UID.
    draft = path.with_name(f".{path.name}.{threading.get_ident()}.part")
    draft.write_bytes(contents)
    draft.replace(path)


def delete_drafts(folder: Path) -> None:
    """Delete the drafts that a killed job left in a folder and below it."""
    for draft in folder.rglob(".*.part"):
        draft.unlink(missing_ok=True)
