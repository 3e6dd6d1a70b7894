"""The African fetal planes (Sendra-Balcells et al. 2023, Zenodo 7540448): a table and one folder per center."""

from pathlib import Path

from model_build.data.formats.csv_table import RowErrors, read_rows, require_files
from model_build.data.labels import PLANES
from model_build.data.records import DatasetIndex, Record, Source

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
    records, errors = list[tuple[int, Record]](), RowErrors(table)
    for row in read_rows(table, ("Filename", "Center", "Patient_num", "Plane")):
        try:
            plane, center, patient = row.text("Plane"), row.text("Center"), row.text("Patient_num")
            if plane not in numbers:
                raise ValueError(f"plane {plane!r} is none of {', '.join(numbers)}")
            file = folder / center / f"{row.raw('Filename').strip().removesuffix('.png')}.png"
            records.append((row.line, Record(file, f"{center} {patient}", numbers[plane], center, "test")))
        except ValueError as error:
            errors.add(row.line, error)
    errors.raise_any()
    require_files(table, records)
    return DatasetIndex(folder, PLANES, [record for _, record in records], _SOURCE, published=True)
