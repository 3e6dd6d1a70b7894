"""Download the public data sets from Zenodo, unpack them and check them row by row."""

import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field, ValidationError

from model_build.data.download import DownloadError, download, get_json
from model_build.data.formats import read_data
from model_build.data.formats.african_planes import AFRICAN_TABLE
from model_build.data.formats.csv_table import read_rows
from model_build.data.formats.fetal_planes_db import TABLE
from model_build.data.records import DataError

ZENODO = "https://zenodo.org/api/records"

_MAX_UNPACKED = 20 << 30  # bytes; FETAL_PLANES_DB has 2.1 GB
# The plane's digit in a published file name, and its label in the table.
_LABELS = {"1": "Other", "2": "Fetal abdomen", "3": "Fetal brain", "4": "Maternal cervix", "5": "Fetal femur",
           "6": "Fetal thorax"}  # fmt: skip


@dataclass(frozen=True)
class PublicDataSet:
    """A data set on Zenodo.

    Attributes
    ----------
    md5
        Of the archive when it was first downloaded; None trusts the checksum in the Zenodo record.
    """

    record: str
    archive: str
    table: str
    rows: int
    md5: str | None = None


PUBLIC_DATA_SETS = {
    "planes": PublicDataSet("3904280", "FETAL_PLANES_ZENODO.zip", TABLE, 12_400, "2a5fcc2cefb789bcc0f6c1f73e0ea43f"),
    "africa": PublicDataSet("7540448", "Zenodo_dataset.tar.xz", AFRICAN_TABLE, 450),
}


class _File(BaseModel):
    key: str
    size: int = Field(ge=1)
    checksum: str = Field(pattern=r"^md5:[0-9a-f]{32}$")
    links: dict[str, str]


class _Record(BaseModel):
    files: list[_File]


def fetch(name: str, folder: Path, *, zenodo: str = ZENODO, pause: float = 2.0) -> Path:
    """Download a data set, unpack it and check it; a data set that is there already is only checked.

    Parameters
    ----------
    name
        A key of `PUBLIC_DATA_SETS`.
    folder
        Receives the files; the archive is deleted at the end.
    zenodo, pause
        Address of the records, and seconds before a second attempt.

    Returns
    -------
    The folder that holds the table.

    Raises
    ------
    DownloadError
        The file cannot be downloaded, or differs from its record.
    DataError
        The archive or its contents differ from what was published.
    """
    public = PUBLIC_DATA_SETS[name]
    data = _table_folder(folder, public.table)
    if data is None:
        file = _find_file(public, zenodo)
        archive = folder / public.archive
        download(file.links["self"], archive, file.size, file.checksum.removeprefix("md5:"), pause=pause)
        unpack(archive, folder)
        data = _table_folder(folder, public.table)
        if data is None:
            raise DataError(f"{archive} does not contain {public.table}")
        archive.unlink()
    verify(data, public)
    return data


def _find_file(public: PublicDataSet, zenodo: str) -> _File:
    url = f"{zenodo}/{public.record}"
    try:
        record = _Record.model_validate(get_json(url))
    except ValidationError as error:
        raise DownloadError(f"{url} is not a Zenodo record with files: {error}") from error
    for file in record.files:
        if file.key == public.archive and "self" in file.links:
            if public.md5 not in (None, file.checksum.removeprefix("md5:")):
                raise DownloadError(f"{url}: {file.key} now has {file.checksum}, expected md5:{public.md5}")
            return file
    raise DownloadError(f"{url} has no file {public.archive}; it has {', '.join(file.key for file in record.files)}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a folder, all or nothing.

    Raises
    ------
    DataError
        The archive is damaged, a member would be written outside of the folder, or a file exists already.
    """
    draft = folder / "unpacking"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            _unzip(archive, draft)
        else:
            with tarfile.open(archive) as members:
                _check_members([(member.name, member.size) for member in members.getmembers()], archive)
                members.extractall(draft, filter="data")
        for child in draft.iterdir():
            target = folder / child.name
            if target.exists():
                raise DataError(f"{target} exists already; fetch into an empty folder")
            child.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unzip(archive: Path, draft: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        _check_members([(member.filename, member.file_size) for member in members.infolist()], archive)
        members.extractall(draft)  # noqa: S202  # _check_members has checked the names


def _check_members(members: list[tuple[str, int]], archive: Path) -> None:
    if sum(size for _, size in members) > _MAX_UNPACKED:
        raise DataError(f"{archive} unpacks to more than {_MAX_UNPACKED >> 30} GiB")
    for name, _ in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise DataError(f"{archive} has a member outside of its folder: {name}")


def _table_folder(folder: Path, table: str) -> Path | None:
    return next((path.parent for path in sorted(folder.glob(f"**/{table}")) if "unpacking" not in path.parts), None)


def verify(folder: Path, public: PublicDataSet) -> None:
    """Check an unpacked data set row by row.

    Raises
    ------
    DataError
        The number of rows is not the published one, a file is missing or empty, or a row contradicts its file name.
    """
    records = read_data(folder).records
    if len(records) != public.rows:
        raise DataError(f"{folder / public.table} has {len(records)} rows, {public.rows} were published")
    empty = [record.path for record in records if record.path.stat().st_size == 0]
    if empty:
        raise DataError(f"{empty[0]} is empty")
    if public.table == TABLE:
        _verify_names(folder / TABLE)


def _verify_names(table: Path) -> None:
    """Compare each row with its file name, which repeats the patient and the plane."""
    for line, row in enumerate(read_rows(table, ("Image_name", "Patient_num", "Plane"), ";"), start=2):
        name = re.match(r"Patient(\d+)_Plane(\d)_", row["Image_name"])
        named = (str(int(name[1])), _LABELS.get(name[2])) if name else None
        if named != (row["Patient_num"], row["Plane"]):
            raise DataError(
                f"{table}, line {line}: {row['Image_name']} does not match {row['Patient_num']}, {row['Plane']}"
            )
