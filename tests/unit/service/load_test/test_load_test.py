"""The load generator, against a server with scripted replies."""

import asyncio
import csv
import math
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.cli import main
from service.load_test.connection import Target
from service.load_test.load_table import Row, as_table
from service.load_test.loops import Sample, closed_loop, open_loop
from service.load_test.server_cpu import cpu_seconds

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FULL = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
NONE = b""


class ScriptedServer:
    """Answers with one reply after another; records bodies, connections and the largest number of open requests."""

    def __init__(self, *replies: bytes, delay_s: float = 0.0) -> None:
        self.replies, self.delay_s = replies, delay_s
        self.bodies: list[bytes] = []
        self.open = self.max_open = self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.bodies.append(await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])))
                self.open += 1
                self.max_open = max(self.max_open, self.open)
                await asyncio.sleep(self.delay_s)
                self.open -= 1
                writer.write(reply := self.replies[(len(self.bodies) - 1) % len(self.replies)])
                if reply in (FULL, NONE):
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def run(self, load: Callable[[Target], Awaitable[Sample]]) -> Sample:
        async def start() -> Sample:
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            sample = await load(Target("127.0.0.1", port, "/classify"))
            server.close()
            await asyncio.sleep(0)
            return sample

        return asyncio.run(start())


def test_a_closed_loop_keeps_its_clients_busy_on_open_connections() -> None:
    server = ScriptedServer(OK, CHUNKED, delay_s=0.02)
    sample = server.run(lambda target: closed_loop(target, [b"one", b"three"], 3, 0.4))
    assert server.max_open == server.connections == 3
    assert set(sample.statuses) == {200}
    assert len(sample.statuses) == len(sample.seconds) == len(server.bodies)
    assert set(server.bodies) == {b"one", b"three"}
    assert min(sample.seconds) >= 0.019
    assert sample.wall_s >= 0.4


def test_refusals_and_lost_replies_are_counted_apart() -> None:
    server = ScriptedServer(OK, FULL, NONE, delay_s=0.005)
    row = Row.of("x", server.run(lambda target: closed_loop(target, [b"frame"], 1, 0.4)))
    assert row.answered >= row.refused >= row.failed >= 1
    assert row.answered + row.refused + row.failed == len(server.bodies)


@pytest.mark.parametrize(("without_back_off", "most_requests"), [(False, 4), (True, 10**6)])
def test_a_refused_client_waits_unless_it_has_no_back_off(without_back_off: bool, most_requests: int) -> None:
    server = ScriptedServer(BUSY, delay_s=0.002)
    sample = server.run(lambda target: closed_loop(target, [b"frame"], 2, 1.1, without_back_off=without_back_off))
    assert set(sample.statuses) == {503}
    assert (20 if without_back_off else 2) < len(server.bodies) <= most_requests
    assert sample.wall_s < 1.9


def test_an_open_loop_does_not_wait_and_measures_from_when_a_request_was_due() -> None:
    server = ScriptedServer(OK, delay_s=0.3)
    sample = server.run(lambda target: open_loop(target, [b"frame"], 50, 0.4))
    assert len(sample.statuses) == 20
    assert server.max_open > 5  # although the first answer takes 0.3 s
    assert min(sample.seconds) >= 0.29


def test_an_absent_server_is_a_failure() -> None:
    sample = asyncio.run(open_loop(Target("127.0.0.1", 1, "/"), [b"frame"], 100, 0.02))
    assert sample.statuses == [0, 0]
    row = Row.of("x", sample)
    assert (row.failed, row.per_second, math.isnan(row.p99_ms)) == (2, 0.0, True)


def test_the_percentile_is_a_nearest_rank() -> None:
    row = Row.of("x", Sample([200] * 100, [number / 1000 for number in range(100, 0, -1)], 1.0))
    assert (row.p50_ms, row.p95_ms, row.p99_ms) == (50, 95, 99)


def test_the_row_counts_answers_only() -> None:
    row = Row.of("2 clients", Sample([200, 200, 503, 0], [0.010, 0.030, 9.0, 9.0], 2.0, cpu_s=0.02))
    assert row == Row("2 clients", 2, 1, 1, 1.0, 10.0, 30.0, 30.0, 10.0)
    assert (
        as_table([row]).splitlines()[2]
        == "| 2 clients | 2        | 1       | 1      | 1.0        | 10.0   | 30.0   | 30.0   | 10.0   |"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_row_tells_the_cpu_time_of_a_local_server_per_answer() -> None:
    row = Row.of("x", Sample([200, 200, 503], [0.1, 0.1, 0.1], 1.0, cpu_s=0.03))
    assert row.cpu_ms == 15.0
    assert math.isnan(Row.of("x", Sample([503], [0.1], 1.0, cpu_s=0.03)).cpu_ms)
    sample = ScriptedServer(OK).run(lambda target: closed_loop(target, [b"frame"], 1, 0.2))
    assert 0 < sample.cpu_s < 60  # this process, which is the server


def test_the_cpu_time_of_a_distant_server_is_not_known() -> None:
    assert [Target(host, 1, "/").is_local for host in ("127.0.0.1", "::1", "localhost", "192.0.2.1", "a.b")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert math.isnan(asyncio.run(open_loop(Target("127.0.0.1", 1, "/"), [b"frame"], 100, 0.02)).cpu_s)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_cpu_time_counts_the_descendants_that_live_and_those_that_ended() -> None:
    spin = "import time\nwhile time.process_time() < {}: pass\n"
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}]); print('done', flush=True); input()"
    command = [sys.executable, "-c", nested.format(spin.format(0.5))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert 0.45 < cpu_seconds({process.pid}) < 30
        process.communicate("\n")


@pytest.mark.parametrize("url", ["https://x/classify", "x", "http://"])
def test_a_url_must_be_plain_http(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frame").write_bytes(b"x")
    assert main(["bench", str(tmp_path / "frame"), "--url", url]) == 2
    assert "http://" in capsys.readouterr().err


def test_the_command_writes_table_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frame").write_bytes(b"x")
    loops = ["--clients", "1,2", "--rates", "50", "--seconds", "0.1", "--warm-up", "0"]
    url = ["--url", "http://127.0.0.1:1/classify"]
    assert main(["bench", str(tmp_path / "frame"), *url, *loops, "--csv", str(tmp_path / "out.csv")]) == 1
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["load"] for row in rows] == ["1 clients", "2 clients", "50 per second"]
    assert rows[2]["failed"] == "5"
    assert "| 50 per second |" in capsys.readouterr().out


def test_a_key_and_a_query_are_sent() -> None:
    request = Target.parse("http://h:81/explain?overlay=false", {"Authorization": "Bearer k"}).request(b"frame")
    assert request.startswith(b"POST /explain?overlay=false HTTP/1.1\r\nHost: h:81\r\n")
    assert b"\r\nAuthorization: Bearer k\r\n" in request
    assert request.endswith(b"\r\n\r\nframe")
