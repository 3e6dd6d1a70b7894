"""A database that is down, slow or locked: a refusal that says when to try again, and no word of the address."""

import asyncio
import gc
import logging
import socket
import threading
import time
from pathlib import Path

import pytest

from service.errors import StoreUnavailable
from service.observability.logs import JsonFormatter
from service.store import address, database
from service.store.selection import Selection
from service.store.store import Store
from service.store.threads import StoreThreads
from tests.support.store import DATABASE_PASSWORD, PATIENT, SECRET, STUDY, Postgres, new, opened, sqlite_url
from tests.support.waiting import eventually


def answers(store: Store) -> bool:
    try:
        store.page(Selection(0, 1))
    except StoreUnavailable:
        return False
    return True


def test_a_server_that_is_down_is_used_once_it_is_up(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.stop("fast")
    with opened(postgres.url, tmp_path) as store, caplog.at_level(logging.DEBUG):
        with pytest.raises(StoreUnavailable) as refused:
            store.add([new(1)], None)
        assert refused.value.headers["Retry-After"].isdecimal()
        postgres.start()
        eventually(lambda: answers(store))
        store.add([new(1)], None)
        postgres.stop("immediate")  # the connection of the pool breaks
        assert not answers(store)
        postgres.start()
        eventually(lambda: answers(store))
        assert len(store.page(Selection(0, 10))[0]) == 1
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("does not answer" in line for line in lines)
    for word in (DATABASE_PASSWORD, SECRET, PATIENT, STUDY, str(postgres.folder)):
        assert not [line for line in lines if word in line]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pg8000 leaves its socket to the GC
def test_a_server_that_does_not_reply_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://user:{DATABASE_PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db?sslmode=disable"
        with opened(url, tmp_path) as store:
            assert not answers(store)
    gc.collect()


def test_after_a_failure_requests_fail_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BROKEN_S", 600)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"postgresql://user:{DATABASE_PASSWORD}@127.0.0.1:{port}/db"
    with opened(url, tmp_path) as store:
        assert not answers(store)
        monkeypatch.setattr(store.database, "_prepare", lambda: pytest.fail("it was asked again"))
        assert not answers(store)


def test_a_database_that_stays_locked_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "TIMEOUT_S", 0.1)
    url = sqlite_url(tmp_path)
    with opened(url, tmp_path) as first, opened(url, tmp_path) as second:
        first.expire()
        second.expire()
        with first.database.write(), pytest.raises(StoreUnavailable):
            second.add([new(1)], None)
        eventually(lambda: answers(second))


def test_a_queue_that_is_too_long_is_a_refusal() -> None:
    threads, free = StoreThreads(), threading.Event()

    async def run() -> None:
        waiting = [asyncio.ensure_future(threads.run(free.wait)) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await threads.run(free.wait)
        free.set()
        assert all(await asyncio.gather(*waiting))
        assert await threads.run(time.time) > 0

    try:
        asyncio.run(run())
    finally:
        free.set()
        threads.close()
