"""Brings the tables from one revision to another, with the scripts in `migrations`."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

HEAD = "0003"
BASE = "base"
VERSION_TABLE = "fetal_planes_version"
FOLDER = Path(__file__).parent / "migrations"

_alembic = threading.Lock()  # its scripts read module-wide state


class UnknownRevisionError(Exception):
    """The tables have a revision that this version of the service does not know."""


def upgrade(connection: Connection) -> None:
    """Bring the tables to `HEAD`, within the transaction of a connection. Raises `UnknownRevisionError`."""
    if current(connection) != HEAD:
        with _alembic:
            command.upgrade(_config(connection), HEAD)


def downgrade(connection: Connection, revision: str) -> None:
    """Bring the tables back to a revision. Raises `UnknownRevisionError`."""
    current(connection)
    with _alembic:
        command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """Return the revision of the tables, None without any. Raises `UnknownRevisionError`."""
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if found is not None and found not in revisions():
        raise UnknownRevisionError(found)
    return found


def revisions() -> list[str]:
    """Return all revisions, the oldest first."""
    return [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()][::-1]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
