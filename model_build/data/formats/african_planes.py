"""The African fetal planes (Sendra-Balcells et al. 2023, Zenodo 7540448): a table and one folder per center."""

from pathlib import Path

from model_build.data.formats.csv_table import read_rows, require_files
from model_build.data.labels import PLANES
from model_build.data.records import DataError, DatasetIndex, Record, Source

AFRICAN_TABLE = "African_planes_database.csv"

_SOURCE = Source(
    "African fetal planes, five centers",
    "CC BY 4.0",
    "Sendra-Balcells et al., Sci Rep 13:2728 (2023), doi 10.1038/s41598-023-29490-3; Zenodo 7540448",
)


def read_african_planes(folder: Path) -> DatasetIndex:
    """Read the data set: all frames are test frames, and a patient number is unique within its center only."""
    table = folder / AFRICAN_TABLE
    numbers = {plane.label: number for number, plane in enumerate(PLANES)}
    records = []
    for line, row in enumerate(read_rows(table, ("Filename", "Center", "Patient_num", "Plane"), ","), start=2):
        plane, center = row["Plane"], row["Center"]
        if plane not in numbers:
            raise DataError(f"{table}, line {line}: plane {plane!r} is not known")
        file = folder / center / f"{row['Filename'].removesuffix('.png')}.png"
        records.append(Record(file, f"{center} {row['Patient_num']}", numbers[plane], center, "test"))
    require_files(records)
    return DatasetIndex(folder, PLANES, records, _SOURCE)
