"""Writers that are killed, and several at once: a batch is kept as a whole or not at all."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from service.errors import StoreUnavailable
from service.store.selection import Selection
from service.store.store import Store
from tests.support.paths import ROOT
from tests.support.store import Postgres, new, opened, secret_file, sqlite_url
from tests.support.waiting import eventually

BATCH = 50
WRITER = """
import sys, time
from pathlib import Path
from sqlalchemy import event
from service.store import database, open_store
from service.store.options import StoreOptions
from tests.support.store import new

url, secret, name, count, stops = sys.argv[1:]
store = open_store(StoreOptions(url, Path(secret)))
store.expire()
database._MAX_IDLE_MS = 2000
if stops == "in the middle":
    @event.listens_for(store.database._engine, "after_cursor_execute")
    def stop(connection, cursor, statement, *_):
        if statement.startswith("INSERT"):
            print("inserted", flush=True)
            time.sleep(600)
for batch in range(int(count)):
    ids = store.add([new(batch, frame=frame) for frame in range(50)], f"{name}-{batch}")
    print(ids[0], ids[-1], flush=True)
print("done", flush=True)
store.close()
"""


def writer(url: str, folder: Path, name: str, count: int, stops: str = "no") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, str(secret_file(folder)), name, str(count), stops]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def counts(store: Store) -> Counter[str | None]:
    """The number of corrections of each batch."""
    found: Counter[str | None] = Counter()
    after: int | None = 0
    while after is not None:
        page, after = store.page(Selection(after, 1000))
        found.update(each.who for each in page)
    return found


def test_a_writer_that_is_killed_in_the_middle_keeps_nothing(store_url: str, tmp_path: Path) -> None:
    killed = writer(store_url, tmp_path, "killed", 1, "in the middle")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "inserted\n"
    killed.kill()
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.stdout.close()
    with opened(store_url, tmp_path) as store:
        assert counts(store) == {}
        store.add([new(1)], "next")  # the lock of the killed one is free
        assert counts(store) == {"next": 1}


def test_a_writer_that_vanishes_in_the_middle_holds_the_lock_for_a_while_only(
    postgres: Postgres, tmp_path: Path
) -> None:
    """It is stopped, so that its connection stays open as after the loss of a machine or of the network."""
    gone = writer(postgres.url, tmp_path, "gone", 1, "in the middle")
    try:
        assert gone.stdout is not None
        assert gone.stdout.readline() == "inserted\n"
        gone.send_signal(signal.SIGSTOP)
        with opened(postgres.url, tmp_path) as store:
            eventually(lambda: adds(store))
            assert set(counts(store)) == {"next"}
    finally:
        gone.kill()
        gone.communicate(timeout=60)


def adds(store: Store) -> bool:
    try:
        store.add([new(1)], "next")
    except StoreUnavailable:
        return False
    return True


def test_whatever_was_answered_is_kept_when_writers_are_killed(store_url: str, tmp_path: Path) -> None:
    writers = [writer(store_url, tmp_path, str(number), 10_000) for number in range(2)]
    answered = []
    for number, each in enumerate(writers):
        assert each.stdout is not None
        for batch in range(10 + 7 * number):
            assert each.stdout.readline().strip(), "the writer ended"
            answered.append(f"{number}-{batch}")
        each.kill()
    for each in writers:
        each.wait(timeout=60)
        assert each.stdout is not None
        each.stdout.close()
    with opened(store_url, tmp_path) as store:
        found = counts(store)
    assert set(answered) <= set(found)
    assert set(found.values()) == {BATCH}


def test_writers_at_once_lose_nothing_and_a_reader_that_follows_misses_nothing(store_url: str, tmp_path: Path) -> None:
    writers = [writer(store_url, tmp_path, str(number), 12) for number in range(3)]
    seen: list[int] = []
    with opened(store_url, tmp_path) as store:

        def follow() -> bool:
            page, _ = store.page(Selection(seen[-1] if seen else 0, 1000))
            seen.extend(each.id for each in page)
            return len(seen) == 3 * 12 * BATCH

        eventually(follow, timeout_s=240)
        assert sorted(set(seen)) == seen  # no id appeared behind one that was read
        assert set(counts(store).values()) == {BATCH}
    for each in writers:
        output, _ = each.communicate(timeout=60)
        assert output.endswith("done\n")


def test_a_server_that_is_killed_keeps_what_was_answered(postgres: Postgres, tmp_path: Path) -> None:
    with opened(postgres.url, tmp_path) as store:
        store.add([new(number) for number in range(BATCH)], "before")
        postgres.stop("immediate")  # as a crash: no checkpoint, recovery at the next start
        postgres.start()
        eventually(lambda: answers(store))
        assert counts(store) == {"before": BATCH}
        store.add([new(1)], "after")


def answers(store: Store) -> bool:
    try:
        store.page(Selection(0, 1))
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("seconds", [0.3])
def test_a_writer_waits_for_another_one(tmp_path: Path, seconds: float) -> None:
    url = sqlite_url(tmp_path)
    with opened(url, tmp_path) as first, opened(url, tmp_path) as second:
        first.expire()
        with first.database.write():
            waiting = second._threads._executor.submit(second.add, [new(1)], "second")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=seconds)
            assert first.page(Selection(0, 1))[0] == []  # readers do not wait
        assert len(waiting.result(timeout=60)) == 1
