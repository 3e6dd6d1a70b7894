"""Read a data set in any supported layout; `read_data` recognizes which one it is.

- `FETAL_PLANES_DB_data.csv` and a folder `Images`: FETAL_PLANES_DB as published.
- `African_planes_database.csv` and one folder per center: the African fetal planes.
- A table, or a folder with `labels.csv`: columns `path` and `label`; optional `patient`, `scanner` and `split`.
- One folder per class that holds frames, or one folder per patient with frames; optional `train`, `val`, `test` above.
"""

from pathlib import Path

from model_build.data.formats.african_planes import AFRICAN_TABLE, read_african_planes
from model_build.data.formats.fetal_planes_db import TABLE, read_fetal_planes_db
from model_build.data.formats.own_data.class_folders import read_class_folders
from model_build.data.formats.own_data.labels_table import find_labels_table, read_labels_table
from model_build.data.records import DataError, DatasetIndex
from service.schemas.file_names import path_text


def read_data(path: Path) -> DatasetIndex:
    """Read a data set from its folder or its table.

    A file `dataset.toml` in the folder may state `name`, `license`, `citation`, the `encoding` of a table, and ids of
    `planes`. Raises DataError where a part is missing or does not match the layout; the message names the file, and the
    line where there is one.
    """
    if path.is_file():
        published = {TABLE: read_fetal_planes_db, AFRICAN_TABLE: read_african_planes}.get(path.name)
        return published(path.parent) if published else read_labels_table(path)
    if not path.is_dir():
        raise DataError(f"{path_text(path)} is neither a folder nor a table")
    if (path / TABLE).is_file():
        return read_fetal_planes_db(path)
    if (path / AFRICAN_TABLE).is_file():
        return read_african_planes(path)
    table = find_labels_table(path)
    return read_labels_table(table) if table else read_class_folders(path)
