"""The ledger of a spool: which objects were acknowledged, what is done with them, and what waits for delivery.

SQLite commits each change whole and flushes it to the disk, so a killed process loses none and repeats none.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple

ObjectState = Literal["received", "analyzed", "done"]
Kind = Literal["dicom", "webhook"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  key TEXT PRIMARY KEY, digest TEXT NOT NULL, instance TEXT NOT NULL, study TEXT NOT NULL, size INTEGER NOT NULL,
  received REAL NOT NULL, state TEXT NOT NULL DEFAULT 'received', attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS objects_by_state ON objects (state, received);
CREATE TABLE IF NOT EXISTS deliveries (
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, created REAL NOT NULL, due REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0
);
"""
_OBJECT = "key, digest, instance, study, size, received, attempts"
_DELIVERY = "name, kind, created, due, attempts, refusals"


class SpooledObject(NamedTuple):
    """An acknowledged object. The UIDs identify a patient: they belong into no log line."""

    key: str  # its file's name, without the suffix
    digest: str
    instance: str
    study: str
    size: int
    received: float
    attempts: int = 0


class Delivery(NamedTuple):
    """A result that waits for its destination; its file has the same name."""

    name: str
    kind: Kind
    created: float
    due: float = 0.0
    attempts: int = 0
    refusals: int = 0


class Ledger:
    """The ledger in a file. Several threads may use it at once; every change raises `sqlite3.Error` on a full disk."""

    def __init__(self, path: Path) -> None:
        self._lock = RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")  # a commit returns after the disk has it
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the changes of the block one change."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def digest(self, key: str) -> str | None:
        """Return the digest of an object that was acknowledged before; None for a new one."""
        with self._lock:
            row = self._database.execute("SELECT digest FROM objects WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def add(self, each: SpooledObject) -> None:
        """Add an object."""
        self._write(
            "INSERT INTO objects (key, digest, instance, study, size, received) VALUES (?, ?, ?, ?, ?, ?)", each[:6]
        )

    def objects(self, *states: ObjectState) -> list[SpooledObject]:
        """Return the objects in these states, the oldest first."""
        return [SpooledObject(*row) for row in self._read(_OBJECT, "objects", states, "ORDER BY received, key")]

    def received(self, limit: int) -> list[SpooledObject]:
        """Return the oldest objects that nobody has analyzed yet."""
        ending = f"ORDER BY attempts, received, key LIMIT {limit:d}"
        return [SpooledObject(*row) for row in self._read(_OBJECT, "objects", ("received",), ending)]

    def quiet_studies(self, before: float, state: ObjectState) -> list[str]:
        """Return the studies whose objects are all in this state, or done, and older than a time."""
        with self._lock:
            rows = self._database.execute(
                "SELECT study FROM objects WHERE state != 'done' GROUP BY study "
                "HAVING MAX(received) <= ? AND MIN(state = ?) = 1 ORDER BY MAX(received)",
                (before, state),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def of_study(self, study: str) -> list[SpooledObject]:
        """Return the objects of a study that are not done, the oldest first."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_OBJECT} FROM objects WHERE state != 'done' AND study = ? ORDER BY received, key",  # noqa: S608
                (study,),
            ).fetchall()
        return [SpooledObject(*row) for row in rows]

    def move(self, keys: Iterable[str], state: ObjectState) -> None:
        """Put objects into another state; those that are done keep no UID."""
        forget = ", instance = '', study = ''" if state == "done" else ""
        statement = f"UPDATE objects SET state = ?{forget} WHERE key = ?"  # noqa: S608 (a constant)
        with self._lock:
            self._database.executemany(statement, [(state, key) for key in keys])

    def count_attempt(self, keys: Iterable[str]) -> None:
        """Count a failed attempt to analyze objects."""
        with self._lock:
            self._database.executemany(
                "UPDATE objects SET attempts = attempts + 1 WHERE key = ?", [(key,) for key in keys]
            )

    def forget(self, before: float) -> None:
        """Forget objects that were received before a time and are done."""
        self._write("DELETE FROM objects WHERE state = 'done' AND received < ?", (before,))

    def plan(self, delivery: Delivery) -> None:
        """Add a delivery; one of the same name is the same result and stays as it is."""
        self._write("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", delivery)

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries that wait, the one that is due first at the start."""
        return [Delivery(*row) for row in self._read(_DELIVERY, "deliveries", (), "ORDER BY due, created, name")]

    def postpone(self, delivery: Delivery) -> None:
        """Store the attempts of a delivery and when it is due again."""
        self._write(
            "UPDATE deliveries SET due = ?, attempts = ?, refusals = ? WHERE name = ?",
            (delivery.due, delivery.attempts, delivery.refusals, delivery.name),
        )

    def end_delivery(self, name: str) -> None:
        """Remove a delivery that succeeded, or that became a dead letter."""
        self._write("DELETE FROM deliveries WHERE name = ?", (name,))

    def _read(self, columns: str, table: str, states: Sequence[str], ending: str) -> list[tuple[Any, ...]]:
        marks = ", ".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        with self._lock:
            return self._database.execute(
                f"SELECT {columns} FROM {table} {where} {ending}",  # noqa: S608 (constants)
                states,
            ).fetchall()

    def _write(self, statement: str, values: Sequence[object]) -> None:
        with self._lock:
            self._database.execute(statement, values)
