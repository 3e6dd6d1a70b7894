"""Connections to the database, with one writer at a time and limits on every wait."""

import logging
import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.store import migration
from service.store.address import TIMEOUT_S, read_address
from service.store.options import unavailable

_LOG = logging.getLogger("fetal_planes.store")
_WRITER = 0x6665_7461_6C70_6C61  # key of PostgreSQL's advisory lock: any number that other programs do not use
_MAX_IDLE_MS = 30_000  # of a transaction that writes
_RECYCLE_S = 300  # firewalls forget connections that are idle for long
_BROKEN_S = 1.0  # after a failure, further requests fail at once for this long
_IMMEDIATE = "sqlite_begin_immediate"
_NETWORK_ERRORS = (OSError, EOFError, struct.error)  # pg8000 lets them through, also for replies that are cut short
_FAILURES = (DBAPIError, PoolTimeoutError, *_NETWORK_ERRORS)


class Database:
    """The database of the store; it is connected to when it is first used.

    `read` and `write` raise `StoreUnavailable` where the database does not answer; the next call tries again.
    """

    def __init__(self, url: str) -> None:
        address, arguments = read_address(url)
        self._engine = create_engine(
            address,
            connect_args=arguments,
            hide_parameters=True,  # in messages and logs of SQLAlchemy
            pool_size=4,
            max_overflow=0,
            pool_timeout=TIMEOUT_S,
            pool_pre_ping=True,
            pool_recycle=_RECYCLE_S,
        )
        self._is_sqlite = address.get_backend_name() == "sqlite"
        if self._is_sqlite:
            _configure_sqlite(self._engine)
        self._prepared = False
        self._prepare_lock = threading.Lock()
        self._broken_until = 0.0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads."""
        with self._translated():
            self._prepare()
            with self._begin(immediate=False) as connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the one transaction that writes: it is committed as a whole at the end of the block, or not at all."""
        with self._translated():
            self._prepare()
            with self._exclusive() as connection:
                yield connection

    def upgrade(self) -> str:
        """Bring the tables to the newest revision, and return it."""
        with self._translated():
            self._prepare()
        return migration.HEAD

    def downgrade(self, revision: str) -> None:
        """Bring the tables back to an older revision; `base` has none. What newer tables hold is deleted."""
        with self._translated(), self._exclusive() as connection:
            migration.downgrade(connection, revision)

    def purge(self) -> None:
        """Remove deleted rows from SQLite's log, too. PostgreSQL's own vacuum does its part."""
        if self._is_sqlite:
            with self._translated(), self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        if self._prepared:
            return
        with self._prepare_lock:
            self._check()  # the thread that had the lock may have failed
            if self._prepared:
                return
            try:
                with self._exclusive() as connection:  # replicas that start together take turns
                    migration.upgrade(connection)
            except _FAILURES:
                self._broken_until = monotonic() + _BROKEN_S
                raise
            self._prepared = True

    @contextmanager
    def _exclusive(self) -> Iterator[Connection]:
        with self._begin(immediate=True) as connection:
            if not self._is_sqlite:
                # A replica whose machine has vanished would keep the lock until TCP gives up, two hours later.
                connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {_MAX_IDLE_MS}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER})
            yield connection

    @contextmanager
    def _begin(self, *, immediate: bool) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**{_IMMEDIATE: immediate}) as connection, connection.begin():
            try:
                yield connection
            except _NETWORK_ERRORS:
                connection.invalidate()  # the reply to one statement must not be read as that to the next
                raise

    def _check(self) -> None:
        if monotonic() < self._broken_until:
            raise unavailable("The store does not answer.")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except (IntegrityError, DataError):
            raise  # a bug
        except migration.UnknownRevisionError:
            _LOG.error("the store has the tables of a newer version of the service")
            raise unavailable("The store does not answer.") from None
        except _FAILURES as error:
            self._broken_until = monotonic() + _BROKEN_S
            _LOG.warning("the store does not answer", extra={"exception": _name(error)})
            raise unavailable("The store does not answer.") from None


def _name(error: BaseException) -> str:
    """Return the kind of an error. Its message may quote the address, or a value."""
    original = getattr(error, "orig", None) or error
    details = original.args[0] if original.args else None
    code = details.get("C", "") if isinstance(details, dict) else getattr(original, "sqlite_errorname", "")
    return f"{type(original).__qualname__} {code}".rstrip()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log, in which readers and the writer do not wait for each other.

    SQLite's own timeout does not hold for this statement.
    """
    deadline = monotonic() + TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() >= deadline:
                raise
            sleep(0.02)


def _configure_sqlite(engine: Engine) -> None:
    """Have SQLAlchemy begin transactions, and SQLite lock for writers at their beginning.

    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes-with-the-sqlite3-or-aiosqlite-driver
    """

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")  # a kept correction survives a power failure
        connection.execute("PRAGMA secure_delete=ON")  # an erased one is overwritten

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
