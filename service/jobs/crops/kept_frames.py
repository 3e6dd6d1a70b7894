"""Write the kept frames of the store as a folder with `labels.csv`, which `fetal-planes-build` reads."""

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.jobs import JobError
from service.jobs.outputs import write_whole
from service.reports.cells import plain_cells
from service.schemas.corrections import MAX_CORRECTIONS, Correction
from service.store.selection import Selection

if TYPE_CHECKING:
    from service.store.store import Store

COLUMNS = ("path", "label", "patient", "scanner", "sub_plane")
_TABLE = "labels.csv"


def export_frames(store: "Store", out: Path) -> int:
    """Write the frames whose plane a person has named; return how many. Raises `JobError` and `StoreUnavailable`.

    The last correction of a frame counts: one that rejects the answer names no plane, and its frame is left out.
    Frames without a patient count as those of their study, else of their file.
    """
    if store.frames is None:
        raise JobError("FETAL_PLANES_STORE_FRAMES is not set, so no frames are kept")
    labeled = [each for each in _latest(store) if each.has_frame and each.plane is not None]
    table = io.StringIO(newline="")
    lines = csv.DictWriter(table, COLUMNS)
    lines.writeheader()
    try:
        if out.exists() and any(out.iterdir()):
            raise JobError(f"{out} is not empty; name a new folder")
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in labeled:
            path = store.frames.path(each.digest, each.frame)
            shutil.copyfile(path, out / path.name)
            lines.writerow(
                plain_cells(
                    {
                        "path": path.name,
                        "label": each.plane,
                        "patient": each.patient or each.study or each.digest,
                        "scanner": each.machine,
                        "sub_plane": each.sub_plane,
                    }
                )
            )
        write_whole(out / _TABLE, table.getvalue().encode())
    except OSError as error:
        raise JobError(f"{error.filename}: {error.strerror}") from error
    return len(labeled)


def _latest(store: "Store") -> Iterator[Correction]:
    after: int | None = 0
    while after is not None:
        page, after = store.page(Selection(after, MAX_CORRECTIONS, latest=True))
        yield from page
