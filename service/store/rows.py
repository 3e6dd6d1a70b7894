"""Rows of the table of corrections, and what they are on the wire."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, exists, select

from service.schemas.answers import ModelInfo
from service.schemas.corrections import CorrectedAnswer, Correction, NewCorrection
from service.store.tables import corrections, kept_frames

_SAME = ("digest", "frame", "verdict", "machine", "protocol")  # columns with the names of the wire


def row_of(new: NewCorrection, study: str | None, patient: str | None) -> dict[str, Any]:
    """Return the row of a correction, with the keyed hashes in place of the identifiers."""
    said = new.answer if new.verdict == "accepted" else new
    return {name: getattr(new, name) for name in _SAME} | {
        "model_name": new.model.name,
        "model_version": new.model.version,
        "model_sha256": new.model.sha256,
        "model_precision": new.model.precision,
        "answer_plane": new.answer.plane,
        "answer_sub_plane": new.answer.sub_plane,
        "answer_abstain_reason": new.answer.abstain_reason,
        "answer_probability": new.answer.probability,
        "plane": said.plane,
        "sub_plane": said.sub_plane,
        "study": study,
        "patient": patient,
    }


def list_rows(conditions: Iterable[ColumnElement[bool]], limit: int, *, latest: bool) -> Select[Any]:
    """Return the statement that lists corrections; with `latest`, only the last one of each frame."""
    later = corrections.alias()
    frame = and_(kept_frames.c.digest == corrections.c.digest, kept_frames.c.frame == corrections.c.frame)
    statement = (
        select(corrections, kept_frames.c.size.is_not(None).label("has_frame"))
        .select_from(corrections.outerjoin(kept_frames, frame))
        .where(*conditions)
        .order_by(corrections.c.id)
        .limit(limit)
    )
    if latest:
        is_later = (
            later.c.digest == corrections.c.digest,
            later.c.frame == corrections.c.frame,
            later.c.id > corrections.c.id,
        )
        statement = statement.where(~exists().where(*is_later))
    return statement


def to_correction(row: RowMapping) -> Correction:
    """Return a row as the wire has it. The database holds what was checked when it came."""
    return Correction.model_construct(
        **{name: row[name] for name in ("id", "at", "who", "study", "patient", "plane", "sub_plane", *_SAME)},
        has_frame=bool(row["has_frame"]),
        model=ModelInfo.model_construct(
            name=row["model_name"],
            version=row["model_version"],
            sha256=row["model_sha256"],
            precision=row["model_precision"],
        ),
        answer=CorrectedAnswer.model_construct(
            plane=row["answer_plane"],
            sub_plane=row["answer_sub_plane"],
            abstain_reason=row["answer_abstain_reason"],
            probability=row["answer_probability"],
        ),
    )
