"""Two services on one store, as processes of their own; one of them is killed while it keeps corrections."""

import json
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from bench.servers import running_service
from tests.support.store import DATABASE_PASSWORD, SECRET, correction, secret_file
from tests.support.waiting import TIMEOUT_S, eventually

BATCH = 40


class Sender:
    """Sends batches to a service until it does not answer any more."""

    def __init__(self, url: str, name: str) -> None:
        self.kept: list[str] = []
        self._url, self._name, self._end = url, name, threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _send(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=TIMEOUT_S) as client:
            while not self._end.is_set():
                batch = f"{self._name}-{len(self.kept)}"
                sent = [correction(number, machine=batch) for number in range(BATCH)]
                try:
                    reply = client.post("/corrections", json={"corrections": sent})
                except httpx2.TransportError:
                    return
                assert reply.status_code in (201, 503), reply.text
                if reply.status_code == 201:
                    self.kept.append(batch)


def machines(url: str) -> Counter[str]:
    found: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        page = httpx2.get(f"{url}/corrections", params={"after": after, "limit": 1000}, timeout=TIMEOUT_S).json()
        found.update(each["machine"] for each in page["corrections"])
        after = page["next"]
    return found


@pytest.mark.slow
def test_a_replica_that_is_killed_loses_nothing_that_it_answered(
    phantom_folder: Path, tmp_path: Path, store_url: str
) -> None:
    settings = {"store": store_url, "store_secret": str(secret_file(tmp_path)), "workers": "1"}
    with (
        (tmp_path / "log").open("w") as log,
        running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as (_, other),
        running_service(phantom_folder, settings, stderr=log.fileno()) as (killed, url),
    ):
        senders = [Sender(url, "killed"), Sender(other, "other")]
        eventually(lambda: all(len(each.kept) > 5 for each in senders))
        killed.send_signal(signal.SIGKILL)
        killed.wait(TIMEOUT_S)
        before = len(senders[1].kept)
        eventually(lambda: len(senders[1].kept) > before + 5)  # the lock of the killed one is free
        for each in senders:
            each.stop()
        found = machines(other)
        assert {batch for each in senders for batch in each.kept} <= set(found)
        assert set(found.values()) == {BATCH}
    logged = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in logged.splitlines() if line.endswith("}")]  # the last one may be cut short
    assert [line["level"] for line in lines if "FETAL_PLANES_API_KEYS" in line["message"]] == ["warning"]
    assert SECRET not in logged
    assert DATABASE_PASSWORD not in logged
