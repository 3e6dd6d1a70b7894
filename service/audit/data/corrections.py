"""Read corrections: exports of `GET /corrections` as CSV, JSON or JSON lines, or the database of the store."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from numpy.typing import NDArray

from service.audit.data.session import Session, name, text
from service.audit.data.sources import Sources, open_plain
from service.jobs import JobError
from service.schemas.corrections import Verdict

ABSTAINED, NONE = "abstained", "none of the planes"
"""The model's label where it abstained, and a person's where a frame was rejected."""

_DIGEST = 64  # characters


class Corrected(NamedTuple):
    """Frames with a person's word: the labels of both, the exam of each frame, and counts for the notes.

    Attributes
    ----------
    unmatched
        Corrections of frames that the sources do not hold; they are left out.
    damaged
        Corrections that cannot be read; they are left out.
    """

    model: NDArray[Any]
    person: NDArray[Any]
    exam: NDArray[Any]
    unmatched: int = 0
    damaged: int = 0


def read_corrections(session: Session, sources: Sources) -> Corrected | None:
    """Return the latest correction of each frame that the sources hold; None without corrections.

    Where no source has digests of its files, every correction counts.
    """
    if not sources.corrections and not sources.stores:
        return None
    latest: dict[tuple[str, int], dict[str, Any]] = {}
    damaged = 0
    for entry in _entries(sources):
        if (read := _read(entry)) is None:
            damaged += 1
            continue
        place = read["digest"], read["frame"]
        if place not in latest or latest[place]["id"] <= read["id"]:
            latest[place] = read
    return _match(session, list(latest.values()), damaged)


def _entries(sources: Sources) -> Iterator[Mapping[str, Any]]:
    for path in sources.corrections:
        try:
            with open_plain(path) as file:
                content = file.read().decode("utf-8-sig")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise JobError(f"{path} cannot be read: {error}") from error
        yield from _parse(path, content)
    for url in sources.stores:
        yield from _of_store(url)


def _parse(path: Path, content: str) -> Iterable[Mapping[str, Any]]:
    if not content.lstrip().startswith(("{", "[")):
        return csv.DictReader(io.StringIO(content))
    try:
        document = json.loads(content)
    except ValueError:
        return [_line(line) for line in content.splitlines() if line.strip()]
    if isinstance(document, dict):
        document = document.get("corrections", [document])
    if not isinstance(document, list):
        raise JobError(f"{path} holds no list of corrections")
    return [each if isinstance(each, dict) else {} for each in document]


def _line(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_store(url: str) -> list[dict[str, Any]]:
    try:
        import sqlalchemy

        from service.store.address import read_address
    except ImportError as error:
        raise JobError("a database of corrections needs the extra `store`; or give an export of them") from error
    from service.store.options import StoreError

    file = url.partition(":///")[2]
    if url.startswith("sqlite") and not Path(file).is_file():  # SQLite would make an empty one
        raise JobError(f"the database {file} does not exist")
    try:
        address, arguments = read_address(url)
        engine = sqlalchemy.create_engine(address, connect_args=arguments, hide_parameters=True)
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT * FROM corrections")).mappings().all()
        engine.dispose()
    except StoreError as error:
        raise JobError(str(error).replace("FETAL_PLANES_STORE", "the database of corrections")) from None
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:  # its text may quote the password of the URL
        raise JobError(f"the database of corrections cannot be read ({type(error).__name__})") from None
    return [dict(row) for row in rows]


def _read(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return digest, frame and the labels of both; None for a damaged entry."""
    answer = entry.get("answer")
    nested = answer if isinstance(answer, dict) else {}
    answered, reason = (_text(nested.get(each) or entry.get(f"answer_{each}")) for each in ("plane", "abstain_reason"))
    digest, verdict, given = entry.get("digest"), entry.get("verdict"), _text(entry.get("plane"))
    frame, order = _number(entry.get("frame") or 0), _number(entry.get("id") or 0)
    if not isinstance(digest, str) or len(digest) != _DIGEST or verdict not in get_args(Verdict) or frame < 0:
        return None
    if answered is None or (verdict == "supplemented" and given is None):
        return None
    person = NONE if verdict == "rejected" else given or answered
    study = _text(entry.get("study")) or digest
    model = ABSTAINED if reason else answered
    return {"digest": digest, "frame": frame, "id": order, "model": model, "person": person, "study": study}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return -1


_COLUMNS = {"digest": "VARCHAR", "frame": "INTEGER", "model": "VARCHAR", "person": "VARCHAR", "study": "VARCHAR"}


def _match(session: Session, corrections: list[dict[str, Any]], damaged: int) -> Corrected:
    path = session.folder / "corrections.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in corrections))
    columns = ", ".join(f"{name(key)}: {text(kind)}" for key, kind in _COLUMNS.items())
    session.run(
        f"""CREATE TABLE correction AS SELECT hash(digest) AS digest, frame, model, person, hash(study) AS study
            FROM read_json({text(str(path))}, format = 'newline_delimited', columns = {{{columns}}})"""  # noqa: S608
    )
    digests = session.count("SELECT count(digest) FROM frame")
    join = "JOIN" if digests else "LEFT JOIN"
    found = session.arrays(
        f"""SELECT any_value(correction.model) AS model, any_value(person) AS person,
                coalesce(min(exam), any_value(correction.study)) AS exam
            FROM correction {join} frame ON frame.digest = correction.digest AND frame.frame = correction.frame
            GROUP BY correction.digest, correction.frame"""  # noqa: S608 (a fixed word)
    )
    return Corrected(found["model"], found["person"], found["exam"], len(corrections) - len(found["model"]), damaged)
