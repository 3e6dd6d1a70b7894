"""Rows of `process` and `table` for audits, made in code, and audits of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from service.analysis.protocols.load import load_protocols
from service.audit.data.exams import Exams, read_exams
from service.audit.data.frames import ReadCounts, read_frames
from service.audit.data.session import Session, open_session
from service.audit.data.sources import find_sources
from service.inference.package import load_package
from service.jobs.rows import ResultRow
from service.reports.audit_columns import AuditColumns
from service.schemas.answers import Classification, FrameInfo, ModelInfo, Prediction, SubPlane
from service.schemas.problems import ProblemDetails
from service.schemas.protocols import Protocol
from service.settings import SHIPPED_MODEL

PACKAGE = load_package(SHIPPED_MODEL)
PLANES = [plane.id for plane in PACKAGE.manifest.planes]
PROTOCOLS = {each.id: each for each in load_protocols(None, None, PACKAGE.manifest).protocols}
Audit = Callable[..., dict[str, Any]]
"""Runs the command; returns the JSON, or the exit code as `code` if it fails."""

MODEL = ModelInfo(name="fetal-planes", version="1", sha256="a" * 64)


def columns(study: str, **changes: Any) -> AuditColumns:
    """The audit columns of a frame."""
    groups = {"patient": None, "operator": "b" * 64, "machine": "Voluson E8", "site": "north", "month": "2026-05"}
    return AuditColumns(**{"study": study, "ood_score": -1.0, **groups, **changes})


def row(file: str, plane: str = "fetal_brain", probability: float = 0.9, **changes: Any) -> ResultRow:
    """A row with an answer; `second` is the second prediction, `reason` why the model abstains."""
    second = changes.pop("second", ("other" if plane != "other" else "fetal_brain", 1 - probability))
    reason, sub_plane = changes.pop("reason", None), changes.pop("sub_plane", None)
    frame, frames = changes.pop("frame", 0), changes.pop("frames", 1)
    ranked = ((plane, probability), second)
    answer = Classification(
        predictions=[Prediction(plane=each, label=each, probability=value) for each, value in ranked],
        abstain=reason is not None,
        abstain_reason=reason,
        sub_plane=SubPlane(plane=sub_plane, label=sub_plane, probability=0.9) if sub_plane else None,
        sub_plane_reason=changes.pop("sub_plane_reason", None),
        frame=FrameInfo(
            format="png", width=8, height=8, index=frame, count=frames, crop=(0, 0, 8, 8), crop_source="none"
        ),
        model=changes.pop("model", MODEL),
        request_id="1",
    )  # fmt: skip
    return ResultRow(file=file, frame=frame, frames=frames, answer=answer, problem=None, dicom=[], **changes)


def exam(number: int, **groups: Any) -> list[ResultRow]:
    """Five stills that fulfill the protocol `fetal-biometry`, and two more."""
    planes = ["fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax", "other"]
    audit = columns(f"{number:064x}", **groups)
    return [
        row(
            f"{number}/{index}.png", plane, sub_plane="trans_thalamic" if plane == "fetal_brain" else None,
            sha256=f"{number * 100 + index:064x}", audit=audit,
        )
        for index, plane in enumerate(planes)
    ]  # fmt: skip


def refused(file: str) -> ResultRow:
    """A row of a file that was refused."""
    problem = ProblemDetails(
        type="/problems/unreadable", title="No", status=422, detail="No.", code="unreadable-frame", request_id="1"
    )
    return ResultRow(file=file, frame=0, frames=None, answer=None, problem=problem, dicom=[])


def write_lines(path: Path, rows: Iterable[ResultRow]) -> Path:
    """Write rows as `process` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(each.model_dump_json() + "\n" for each in rows))
    return path


def write_parquet(path: Path, rows: Sequence[ResultRow]) -> Path:
    """Write rows in the columns of `table`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(list(map(_cells, rows)), _SCHEMA), path)
    return path


_TEXTS = ("plane", "abstain_reason", "sub_plane", "model_sha256", "problem", "detail", "sha256")
_SCHEMA = pa.schema(
    [("file", pa.string()), ("frame", pa.int32()), ("frames", pa.int32()), ("abstain", pa.bool_())]
    + [(f"probability_{plane}", pa.float32()) for plane in PLANES]
    + [("ood_score", pa.float32()), ("sub_plane_probability", pa.float32())]
    + [(name, pa.string()) for name in (*_TEXTS, *(each for each in AuditColumns.model_fields if each != "ood_score"))]
)


def _cells(each: ResultRow) -> dict[str, Any]:
    probabilities = dict.fromkeys((f"probability_{plane}" for plane in PLANES), 0.0)
    if each.answer is not None:
        probabilities |= {f"probability_{one.plane}": one.probability for one in each.answer.predictions}
    model = each.answer.model.sha256 if each.answer else MODEL.sha256
    ood_score = each.audit.ood_score if each.audit else None
    return each.cells() | probabilities | {"model_sha256": model, "ood_score": ood_score}


@contextmanager
def read(
    folder: Path, sources: Sequence[Path], protocols: Sequence[Protocol]
) -> Iterator[tuple[Session, ReadCounts, Exams]]:
    """Read sources as an audit does."""
    with open_session(folder, 256, 1) as session:
        counts = read_frames(session, find_sources([str(each) for each in sources]), PACKAGE.manifest)
        yield session, counts, read_exams(session, protocols)
