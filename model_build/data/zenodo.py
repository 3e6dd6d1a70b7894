"""The public data sets: what they are called at Zenodo, fetched, unpacked and checked row by row."""

import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field, ValidationError

from model_build.data.download import DownloadError, download, get_json
from model_build.data.formats import AFRICAN_TABLE, read_data
from model_build.data.records import TABLE, DataError, read_rows

ZENODO = "https://zenodo.org/api/records"

_UNPACKED = 20 << 30  # bytes; the planes are 2.1 GB
_PLANE_NUMBERS = {"1": "Other", "2": "Fetal abdomen", "3": "Fetal brain", "4": "Maternal cervix", "5": "Fetal femur",
                  "6": "Fetal thorax"}  # fmt: skip


@dataclass(frozen=True)
class PublicSet:
    """A data set at Zenodo.

    Attributes
    ----------
    md5
        Of the archive, as known to us; where None, the record's own word is taken.
    """

    record: str
    archive: str
    table: str
    rows: int
    md5: str | None = None


DATA_SETS = {
    "planes": PublicSet("3904280", "FETAL_PLANES_ZENODO.zip", TABLE, 12_400, "2a5fcc2cefb789bcc0f6c1f73e0ea43f"),
    "africa": PublicSet("7540448", "Zenodo_dataset.tar.xz", AFRICAN_TABLE, 450),
}


class _File(BaseModel):
    key: str
    size: int = Field(ge=1)
    checksum: str = Field(pattern=r"^md5:[0-9a-f]{32}$")
    links: dict[str, str]


class _Record(BaseModel):
    files: list[_File]


def fetch(name: str, folder: Path, *, zenodo: str = ZENODO, pause: float = 2.0) -> Path:
    """Download a data set, unpack it and check it.

    Parameters
    ----------
    name
        A key of `DATA_SETS`.
    folder
        Where its files go; the archive is removed in the end.

    Returns
    -------
    The folder that holds the table.

    Raises
    ------
    DownloadError
        It cannot be had as the record promises.
    DataError
        The archive or its contents are not as published.
    """
    wanted = DATA_SETS[name]
    there = _table_folder(folder, wanted.table)
    if there is None:
        about = _describe(wanted, zenodo)
        archive = folder / wanted.archive
        download(about.links["self"], archive, about.size, about.checksum.removeprefix("md5:"), pause=pause)
        unpack(archive, folder)
        there = _table_folder(folder, wanted.table)
        if there is None:
            raise DataError(f"{archive} holds no {wanted.table}")
        archive.unlink()
    verify(there, wanted)
    return there


def _describe(wanted: PublicSet, zenodo: str) -> _File:
    url = f"{zenodo}/{wanted.record}"
    try:
        record = _Record.model_validate(get_json(url))
    except ValidationError as error:
        raise DownloadError(f"{url} is not the record that was expected: {error}") from error
    for file in record.files:
        if file.key == wanted.archive and "self" in file.links:
            if wanted.md5 not in (None, file.checksum.removeprefix("md5:")):
                raise DownloadError(f"{url}: {file.key} has {file.checksum} now, md5:{wanted.md5} is known to us")
            return file
    raise DownloadError(f"{url} has no file {wanted.archive}; it has {', '.join(file.key for file in record.files)}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or a tar archive into a folder, all or nothing; raises DataError at a member that would leave it."""
    draft = folder / "unpacking"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            _unzip(archive, draft)
        else:
            with tarfile.open(archive) as members:
                _require_sane([(each.name, each.size) for each in members.getmembers()], archive)
                members.extractall(draft, filter="data")
        for child in draft.iterdir():
            target = folder / child.name
            if target.exists():
                raise DataError(f"{target} is in the way; fetch into an empty folder")
            child.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unzip(archive: Path, draft: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        _require_sane([(each.filename, each.file_size) for each in members.infolist()], archive)
        members.extractall(draft)  # noqa: S202  # its names were looked at


def _require_sane(members: list[tuple[str, int]], archive: Path) -> None:
    if sum(size for _, size in members) > _UNPACKED:
        raise DataError(f"{archive} would unpack to more than {_UNPACKED >> 30} GiB")
    for name, _ in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise DataError(f"{archive} has a member outside of its folder: {name}")


def _table_folder(folder: Path, table: str) -> Path | None:
    return next((path.parent for path in sorted(folder.glob(f"**/{table}")) if "unpacking" not in path.parts), None)


def verify(folder: Path, wanted: PublicSet) -> None:
    """Check an unpacked data set row by row: its count, each row's file, and that file names and rows agree."""
    records = read_data(folder).records
    if len(records) != wanted.rows:
        raise DataError(f"{folder / wanted.table} has {len(records)} rows, {wanted.rows} were published")
    empty = [record.path for record in records if record.path.stat().st_size == 0]
    if empty:
        raise DataError(f"{empty[0]} is empty")
    if wanted.table == TABLE:
        _verify_names(folder / TABLE)


def _verify_names(table: Path) -> None:
    """The published file names repeat the patient and the plane: a row that says otherwise was mangled."""
    for line, row in enumerate(read_rows(table, ("Image_name", "Patient_num", "Plane"), ";"), start=2):
        name = re.match(r"Patient(\d+)_Plane(\d)_", row["Image_name"])
        said = (str(int(name[1])), _PLANE_NUMBERS.get(name[2])) if name else None
        if said != (row["Patient_num"], row["Plane"]):
            raise DataError(
                f"{table}, line {line}: {row['Image_name']} does not fit {row['Patient_num']}, {row['Plane']}"
            )
