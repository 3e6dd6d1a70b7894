"""Migrations: up and down with data, by several processes at once, and a database of a newer version."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from service.errors import StoreUnavailable
from service.store import migration
from service.store.database import Database
from service.store.frames import FramePlace
from service.store.selection import Selection
from service.store.tables import metadata
from tests.support.paths import ROOT
from tests.support.store import new, opened, secret_file

STARTS = """
import sys
from pathlib import Path
from service.store import open_store
from service.store.options import StoreOptions
from tests.support.store import new
store = open_store(StoreOptions(sys.argv[1], Path(sys.argv[2])))
print(*store.add([new(number) for number in range(3)], None))
store.close()
"""


def test_the_scripts_make_the_tables_that_the_code_reads(store_url: str) -> None:
    database = Database(store_url)
    assert database.upgrade() == migration.HEAD == migration.revisions()[-1]
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migration.VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert migration.current(connection) == migration.HEAD
    database.close()


def test_down_and_up_again_with_data(store_url: str, tmp_path: Path) -> None:
    options = {"frames": tmp_path / "frames", "frames_bytes": 1000}
    with opened(store_url, tmp_path, **options) as store:
        ids = store.add([new(1), new(2)], None)
        store.keep_frame(FramePlace(new(1).digest, 0), b"png")
        before = store.page(Selection(0, 10))[0]
    database = Database(store_url)
    database.downgrade("0001")
    with database._exclusive() as connection:
        assert "kept_frames" not in inspect(connection).get_table_names()
        assert connection.execute(text("SELECT count(*) FROM corrections")).scalar_one() == 2
    database.close()
    with opened(store_url, tmp_path, **options) as store:  # up again
        store.expire()  # as at a start
        assert store.page(Selection(0, 10))[0] == before
        assert store.add([new(3)], None)[0] > ids[-1]
    database = Database(store_url)
    database.downgrade(migration.BASE)
    with database._exclusive() as connection:
        assert set(inspect(connection).get_table_names()) <= {migration.VERSION_TABLE}
    database.close()
    with opened(store_url, tmp_path) as store:
        assert store.page(Selection(0, 10))[0] == []


@pytest.mark.slow
def test_replicas_that_start_together_make_the_tables_once(store_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS, store_url, str(secret_file(tmp_path))]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ids = [int(word) for each in started for word in each.communicate(timeout=120)[0].split()]
    assert [each.returncode for each in started] == [0] * 4
    assert sorted(ids) == list(range(1, 13))


def test_a_failed_migration_leaves_nothing_behind(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(store_url)
    with monkeypatch.context() as patched:
        patched.setattr(migration, "upgrade", lambda connection: _upgrade_and_fail(connection))
        with pytest.raises(RuntimeError), database.read():
            pass
    with database._exclusive() as connection:
        assert inspect(connection).get_table_names() == []
    assert database.upgrade() == migration.HEAD
    database.close()


def _upgrade_and_fail(connection: object) -> None:
    from alembic import command

    command.upgrade(migration._config(connection), "0001")  # type: ignore[arg-type]
    raise RuntimeError


def test_the_tables_of_a_newer_version_are_left_alone(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(store_url)
    database.upgrade()
    with database.write() as connection:
        connection.execute(text(f"UPDATE {migration.VERSION_TABLE} SET version_num = '9999'"))
    database.close()
    older = Database(store_url)
    with caplog.at_level(logging.ERROR), pytest.raises(StoreUnavailable), older.read():
        pass
    assert "newer version" in caplog.text
    with pytest.raises(StoreUnavailable):
        older.downgrade("0001")
    older.close()
