"""Download the public data sets from Zenodo, unpack them and check them row by row."""

import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from pydantic import BaseModel, Field, ValidationError

from model_build.data.download import DownloadError, download, get
from model_build.data.formats import read_data
from model_build.data.formats.african_planes import AFRICAN_TABLE
from model_build.data.formats.csv_table import read_rows
from model_build.data.formats.fetal_planes_db import TABLE
from model_build.data.records import DataError

ZENODO = "https://zenodo.org/api/records"

_MAX_UNPACKED = 20 << 30  # bytes; FETAL_PLANES_DB has 2.1 GB
# The label of each plane's digit, 1 to 6, in a published file name.
_LABELS = ("Other", "Fetal abdomen", "Fetal brain", "Maternal cervix", "Fetal femur", "Fetal thorax")


@dataclass(frozen=True)
class PublicDataSet:
    """A data set on Zenodo."""

    record: str
    archive: str
    table: str
    rows: int
    md5: str | None = None  # of the archive when it was first downloaded; None trusts the Zenodo record


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
    """Download a data set, unpack it, check it row by row, and return the folder of its table.

    `name` is a key of `PUBLIC_DATA_SETS`. A data set that is there already is only checked. Raises DownloadError where
    the archive cannot be downloaded or differs from its record, and DataError where the archive or its contents differ
    from what was published.
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
    _verify(data, public)
    return data


def _find_file(public: PublicDataSet, zenodo: str) -> _File:
    url = f"{zenodo}/{public.record}"
    try:
        files = _Record.model_validate_json(get(url)).files
    except ValidationError as error:
        raise DownloadError(f"{url} is not a Zenodo record with files: {error}") from error
    file = next((file for file in files if file.key == public.archive and "self" in file.links), None)
    if file is None:
        raise DownloadError(f"{url} has no file {public.archive}; it has {', '.join(file.key for file in files)}")
    if public.md5 and file.checksum != f"md5:{public.md5}":
        raise DownloadError(f"{url}: {file.key} now has {file.checksum}, expected md5:{public.md5}")
    return file


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a folder, all or nothing.

    Raises DataError where the archive is damaged, a member would be written outside of the folder, or a file exists.
    """
    draft = folder / "unpacking"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                _check_members([(member.filename, member.file_size) for member in zipped.infolist()], archive)
                zipped.extractall(draft)  # noqa: S202  # _check_members has checked the names
        else:
            with tarfile.open(archive) as tar:
                _check_members([(member.name, member.size) for member in tar.getmembers()], archive)
                tar.extractall(draft, filter="data")
        for child in draft.iterdir():
            target = folder / child.name
            if target.exists():
                raise DataError(f"{target} exists already; fetch into an empty folder")
            child.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_members(members: list[tuple[str, int]], archive: Path) -> None:
    if sum(size for _, size in members) > _MAX_UNPACKED:
        raise DataError(f"{archive} unpacks to more than {_MAX_UNPACKED >> 30} GiB")
    for name, _ in members:
        path = PureWindowsPath(name)  # it knows both slashes and drives
        if path.anchor or ".." in path.parts:
            raise DataError(f"{archive} has a member outside of its folder: {name}")


def _table_folder(folder: Path, table: str) -> Path | None:
    return next((path.parent for path in sorted(folder.glob(f"**/{table}")) if "unpacking" not in path.parts), None)


def _verify(folder: Path, public: PublicDataSet) -> None:
    """Raise DataError where rows or files are missing, a file is empty, or a row contradicts its file name."""
    table = folder / public.table
    records = read_data(folder).records
    if len(records) != public.rows:
        raise DataError(f"{table} has {len(records)} rows, {public.rows} were published")
    for record in records:
        if record.path.stat().st_size == 0:
            raise DataError(f"{record.path} is empty")
    if public.table != TABLE:
        return
    # A file name of FETAL_PLANES_DB repeats the patient and the plane of its row.
    for row in read_rows(table, ("Image_name", "Patient_num", "Plane")):
        image, patient, plane = row.text("Image_name"), row.text("Patient_num"), row.text("Plane")
        name = re.match(r"Patient(\d+)_Plane([1-6])_", image)
        if not name or (str(int(name[1])), _LABELS[int(name[2]) - 1]) != (patient, plane):
            raise DataError(f"{table}, line {row.line}: {image} does not match {patient}, {plane}")
