"""Read the rows of all sources into the table `frame`: one row per frame that has an answer.

File names may name patients, so they are read but not kept: `file` and `exam` are hashes that hold for one audit only.
"""

import shutil
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import duckdb

from service.audit.data.session import Session, name, text
from service.audit.data.sources import Sources, is_gzip, open_plain
from service.jobs import JobError
from service.schemas.manifest import Manifest

KEYED = ("study", "operator", "machine", "site", "month")
"""The columns of `--audit-columns` that an audit reads."""

_NEEDED = {"file", "frame", "plane", "abstain", "model_sha256"}
_PROBABILITY = "probability_"
_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"

_KNOWN = """answered AND frame >= 0 AND file IS NOT NULL AND plane IS NOT NULL AND probability BETWEEN 0 AND 1
    AND coalesce(reason, 'uncertain') IN ('color-flow', 'out-of-distribution', 'uncertain')"""
"""What a row with an answer must have."""

_TABLE = """
CREATE TABLE frame (
    exam UBIGINT, study VARCHAR, folder VARCHAR, file UBIGINT, digest UBIGINT, frame INTEGER, loop BOOLEAN,
    operator VARCHAR, machine VARCHAR, site VARCHAR, month VARCHAR,
    plane VARCHAR, probability DOUBLE, second DOUBLE, reason VARCHAR, ood DOUBLE,
    sub_plane VARCHAR, sub_close BOOLEAN, no_plane BOOLEAN, model VARCHAR
)"""

_JSON_COLUMNS = {
    "file": "VARCHAR",
    "frame": "INTEGER",
    "frames": "INTEGER",
    "answer": "STRUCT(predictions STRUCT(plane VARCHAR, probability DOUBLE)[], abstain BOOLEAN, abstain_reason VARCHAR,"
    " sub_plane STRUCT(plane VARCHAR), sub_plane_reason VARCHAR,"
    " model STRUCT(sha256 VARCHAR))",
    "problem": "STRUCT(code VARCHAR)",
    "sha256": "VARCHAR",
    "no_plane": "BOOLEAN",
    "audit": "STRUCT(study VARCHAR, operator VARCHAR, machine VARCHAR, site VARCHAR, month VARCHAR, ood_score DOUBLE)",
}


class ReadCounts(NamedTuple):
    """What was read: rows, frames without an answer, damaged rows; the keyed columns that no source has."""

    rows: int
    refused: int
    damaged: int
    absent: list[str]


def read_frames(session: Session, sources: Sources, manifest: Manifest) -> ReadCounts:
    """Fill the table `frame`; raises `JobError` for a file that cannot be read, or that lacks needed columns."""
    session.run(_TABLE)
    session.run("CREATE TABLE reading (rows BIGINT, refused BIGINT, damaged BIGINT)")
    for (number, columns), paths in _group_tables(session, sources).items():
        _read(session, number, _table_query(paths, columns, manifest))
    for count, (number, path) in enumerate(sources.rows):
        link = session.folder / f"rows-{count}.jsonl"
        link.symlink_to(path)
        try:
            _read(session, number, _json_query(link, "gzip" if is_gzip(path) else "none"))
        except JobError as error:
            raise JobError(f"{path} is damaged: {error}") from error
    ((rows, refused, damaged),) = session.rows(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(refused), 0), coalesce(sum(damaged), 0) FROM reading"
    )
    counted = ", ".join(f"count({column})" for column in KEYED)
    ((*present,),) = session.rows(f"SELECT {counted} FROM frame")  # noqa: S608 (fixed names)
    absent = [column for column, count in zip(KEYED, present, strict=True) if not count]
    return ReadCounts(int(rows), int(refused), int(damaged), absent)


def _group_tables(session: Session, sources: Sources) -> dict[tuple[int, frozenset[str]], list[Path]]:
    """Return the Parquet files by source and columns, so that one query reads many; each is decompressed."""
    groups: dict[tuple[int, frozenset[str]], list[Path]] = defaultdict(list)
    for count, (number, path) in enumerate(sources.tables):
        plain = _plain(session, path, count)
        try:
            found = session.connection.execute("SELECT name FROM parquet_schema(?)", [str(plain)]).fetchall()
        except duckdb.Error as error:
            raise JobError(f"{path} is damaged: it cannot be read as Parquet") from error
        columns = frozenset(column for (column,) in found)
        if missing := sorted(_NEEDED - columns):
            raise JobError(f"{path} is not of `table`: it lacks the columns {', '.join(missing)}")
        groups[number, columns].append(plain)
    return groups


def _plain(session: Session, path: Path, count: int) -> Path:
    """Return a path of a Parquet file for DuckDB; of one that was compressed as a whole, that of a plain copy."""
    copy = session.folder / f"plain-{count}.parquet"
    if not is_gzip(path):
        copy.symlink_to(path)  # DuckDB would take some characters of a name for a pattern
        return copy
    try:
        with open_plain(path) as packed, copy.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    except (OSError, EOFError) as error:
        raise JobError(f"{path} is damaged: it cannot be decompressed") from error
    return copy


def _read(session: Session, number: int, query: str) -> None:
    """Add the rows of a query to `frame`; the count of each kind of row goes to `reading`."""
    session.run(f"CREATE TEMP VIEW incoming AS {query}")
    exam = f"hash(coalesce(study, concat_ws('|', {number}, folder)))"
    session.run(
        f"""INSERT INTO frame SELECT
            {exam}, study, CASE WHEN study IS NULL THEN concat_ws('|', {number}, folder) END,
            hash(file), CASE WHEN digest IS NOT NULL THEN hash(digest) END, frame, coalesce(frames, 1) > 1,
            operator, machine, site,
            CASE WHEN regexp_matches(month, '{_MONTH}') THEN month END, plane, probability,
            coalesce("second", 0), reason, ood, sub_plane, coalesce(sub_close, false), coalesce(no_plane, false),
            model
        FROM incoming WHERE {_KNOWN}"""  # noqa: S608 (fixed text and numbers)
    )
    session.run(
        f"""INSERT INTO reading SELECT count(*), count(*) FILTER (refused),
            count(*) FILTER (NOT coalesce(refused, false) AND NOT coalesce({_KNOWN}, false)) FROM incoming"""  # noqa: S608
    )
    session.run("DROP VIEW incoming")


_FOLDER = "CASE WHEN contains(file, '/') THEN regexp_replace(file, '/[^/]*$', '') ELSE '' END"


def _table_query(paths: list[Path], columns: frozenset[str], manifest: Manifest) -> str:
    """Return a query of Parquet files; a column that they lack is NULL."""

    def column(wanted: str, kind: str = "VARCHAR") -> str:
        return f"TRY_CAST({name(wanted)} AS {kind})" if wanted in columns else f"CAST(NULL AS {kind})"

    # Arrow stores 32-bit floats; the probabilities have six decimals.
    planes = [
        f"round(CAST({name(each)} AS DOUBLE), 6)" for each in sorted(columns) if each.startswith(_PROBABILITY)
    ]  # fmt: skip
    ranked = f"list_reverse_sort([{', '.join(planes)}])"
    finer = text(manifest.sub_planes.plane) if manifest.sub_planes else "NULL"
    abstain, sub_plane = column("abstain", "BOOLEAN"), column("sub_plane")
    files = ", ".join(text(str(path)) for path in paths)
    return f"""
    SELECT {column("file")} AS file, {_FOLDER} AS folder, {column("frame", "INTEGER")} AS frame,
        {column("frames", "INTEGER")} AS frames, {column("sha256")} AS digest,
        {", ".join(f"{column(each)} AS {each}" for each in KEYED)},
        {column("plane")} AS plane, {ranked}[1] AS probability, {ranked}[2] AS "second",
        CASE WHEN {abstain} THEN coalesce({column("abstain_reason")}, 'unknown') END AS reason,
        {column("ood_score", "DOUBLE")} AS ood, {sub_plane} AS sub_plane,
        NOT {abstain} AND {sub_plane} IS NULL AND {column("plane")} = {finer} AS sub_close,
        {column("no_plane", "BOOLEAN")} AS no_plane, {column("model_sha256")} AS model,
        {column("problem")} IS NOT NULL AS refused, {abstain} IS NOT NULL AS answered
    FROM read_parquet([{files}], union_by_name = true)"""  # noqa: S608 (quoted by `name` and `text`)


def _json_query(path: Path, compression: str) -> str:
    """Return a query of JSON lines; a damaged line, also a last one that was cut short, is a row of NULLs."""
    columns = ", ".join(f"{name(key)}: {text(kind)}" for key, kind in _JSON_COLUMNS.items())
    keyed = ", ".join(f"audit.{each} AS {each}" for each in KEYED)
    return f"""
    SELECT file, {_FOLDER} AS folder, frame, frames, sha256 AS digest, {keyed},
        answer.predictions[1].plane AS plane, answer.predictions[1].probability AS probability,
        answer.predictions[2].probability AS "second",
        CASE WHEN answer.abstain THEN coalesce(answer.abstain_reason, 'unknown') END AS reason,
        audit.ood_score AS ood, answer.sub_plane.plane AS sub_plane, answer.sub_plane_reason = 'close' AS sub_close,
        no_plane, answer.model.sha256 AS model,
        problem.code IS NOT NULL AS refused, answer.abstain IS NOT NULL AS answered
    FROM read_json({text(str(path))}, format = 'newline_delimited', ignore_errors = true, columns = {{{columns}}},
        compression = '{compression}')"""  # noqa: S608
