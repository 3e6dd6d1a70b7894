"""The results log of a folder: one JSON line per frame, so that an interrupted job continues where it stopped."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

from pydantic import Field

from service.analysis.code_digest import decision_digest
from service.inference.package import ModelPackage
from service.jobs import JobError
from service.jobs.outputs import whole_file, write_whole
from service.jobs.rows import Counts, ResultRow
from service.schemas import Schema
from service.schemas.manifest import Precision

ROWS, KEY = "frames.jsonl", "job.json"


class JobKey(Schema):
    """What decides an answer, besides the frame. Rows with different keys never share a folder."""

    model_sha256: str = Field(description="Hash of the model package.")
    precision: Precision = Field(default="float32", description="Precision of the network.")
    providers: tuple[str, ...] = Field(default=(), description="Execution providers other than the CPU's, in order.")
    decision_digest: str = Field(description="Hash of the code that decodes and crops a frame and decides on it.")

    @classmethod
    def of(cls, package: ModelPackage) -> "JobKey":
        """Return the key of a job that this process would begin."""
        return cls(
            model_sha256=package.sha256,
            precision=package.precision,
            providers=tuple(package.providers),
            decision_digest=decision_digest(),
        )

    def difference(self, earlier: "JobKey") -> str | None:
        """Return what differs from an earlier job, as a clause for a message; None if nothing does."""
        if earlier.model_sha256 != self.model_sha256:
            return "it holds answers of another model"
        if earlier.precision != self.precision:
            return (
                f"it holds answers of the model in {earlier.precision}, and this run computes in {self.precision} "
                f"(FETAL_PLANES_PRECISION={earlier.precision} continues it)"
            )
        if earlier.providers != self.providers:
            return "it holds answers that other execution providers computed (FETAL_PLANES_PROVIDERS)"
        if earlier.decision_digest != self.decision_digest:
            return "it holds answers of another version of the program, whose code decides differently"
        return None


class FolderKey(JobKey):
    """What decides the rows of a folder and the objects next to them, besides its files."""

    every: int = Field(description="The job takes every n-th frame of a file.")
    limit: int | None = Field(description="The largest number of frames of a file.")
    fps: float | None = Field(description="The job takes this many frames of each second of a video.")
    best: bool = Field(description="Whether a loop has only its best frames.")
    reports: bool = Field(description="Whether each DICOM frame has a structured report.")
    overlays: bool = Field(description="Whether each DICOM frame has a Secondary Capture.")
    protocol: str | None = Field(default=None, description="Id and version of the protocol that the reports name.")
    crops: bool = Field(default=False, description="Whether each named frame has a crop for curation.")
    audit_columns: str | None = Field(
        default=None,
        description="What decides the columns of an audit: a fingerprint of the site's secret, and the site.",
    )

    def difference(self, earlier: JobKey) -> str | None:
        """Return what differs from an earlier job, as a clause for a message; None if nothing does."""
        if difference := super().difference(earlier):
            return difference
        names = (name for name in FolderKey.model_fields if getattr(earlier, name) != getattr(self, name))
        return next((f"it was written with another value of --{name.replace('_', '-')}" for name in names), None)


class ResultLog:
    """Appends rows to `frames.jsonl`; the rows of one call are written whole or not at all.

    If the folder holds a log, the job continues it: rows of files that changed or disappeared are dropped, and rows of
    frames that failed for a reason outside their file, so that these are tried again.

    Parameters
    ----------
    folder, key
        The folder of results; what decides them.
    hash_files
        Returns the current hash of each of these files; it leaves out files that are gone or cannot be read.
    delete_objects
        Deletes the DICOM objects with these names, which belong to dropped rows alone.

    Raises
    ------
    JobError
        The log belongs to a job with another key, or holds lines of another kind.
    """

    def __init__(
        self,
        folder: Path,
        key: FolderKey,
        hash_files: Callable[[set[str]], dict[str, str]],
        delete_objects: Callable[[set[str]], None],
    ) -> None:
        self.counts = Counts()
        self._path = folder / ROWS
        self._frames: dict[str, int | None] = {}
        self._done: defaultdict[str, set[int]] = defaultdict(set)
        _check_key(folder, key)
        with self._path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # a killed process may have left a partial last line
        self._keep(hash_files({row.file for row in self.rows()}), delete_objects)
        write_whole(folder / KEY, key.model_dump_json(indent=2).encode() + b"\n")
        self._file = self._path.open("ab", buffering=0)

    def _keep(self, hashes: dict[str, str], delete_objects: Callable[[set[str]], None]) -> None:
        """Count the rows that are still right, and drop the others."""
        dropped = False
        kept_objects: set[str] = set()
        stale_objects: set[str] = set()
        for row in self.rows():
            if _holds(row, hashes) and not self.has(row.file, row.frame):
                self._note(row)
                kept_objects.update(row.dicom)
            else:
                dropped = True
                stale_objects.update(row.dicom)
        if dropped:
            delete_objects(stale_objects - kept_objects)  # first: the rows are the only list of them
            with whole_file(self._path) as file:
                seen: set[tuple[str, int]] = set()
                for row in self.rows():
                    if _holds(row, hashes) and (row.file, row.frame) not in seen:
                        seen.add((row.file, row.frame))
                        file.write(_line(row))

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

    def write(self, rows: list[ResultRow]) -> None:
        """Append rows; raises `OSError`, and then the log is as before."""
        # Without a buffer: a killed process leaves at most one partial line, the last.
        end, data = self._file.seek(0, os.SEEK_END), b"".join(map(_line, rows))
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError:
            self._file.truncate(end)  # a full disk takes a part
            raise
        for row in rows:
            self._note(row)

    def _note(self, row: ResultRow) -> None:
        self.counts.add(row)
        self._frames[row.file] = row.frames or self._frames.get(row.file)
        self._done[row.file].add(row.frame)

    def frame_count(self, file: str) -> int | None:
        """Return the number of frames in a file that has a row; None for any other file."""
        return self._frames.get(file)

    def has_file(self, file: str) -> bool:
        """Return whether the log has a row of this file."""
        return file in self._done

    def has(self, file: str, frame: int) -> bool:
        """Return whether the log has the row of this frame."""
        return frame in self._done.get(file, ())


def _line(row: ResultRow) -> bytes:
    return row.model_dump_json().encode() + b"\n"


def _holds(row: ResultRow, hashes: dict[str, str]) -> bool:
    failed = row.problem is not None and row.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return row.sha256 is not None and row.sha256 == hashes.get(row.file) and not failed


def _check_key(folder: Path, key: FolderKey) -> None:
    log = folder / ROWS
    if not log.exists() or not log.stat().st_size:
        return
    try:
        earlier = FolderKey.model_validate_json((folder / KEY).read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"{log} has no valid {KEY} next to it; choose another folder") from error
    if difference := key.difference(earlier):
        raise JobError(f"{folder} cannot be continued: {difference}; choose another folder")
