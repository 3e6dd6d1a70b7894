import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.arguments import CommandError
from service.cli.sockets import dual_stack_socket, inherited_sockets, socket_of, unix_socket


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("service.sock")  # a socket's path has at most 107 bytes


def test_a_unix_socket_is_for_owner_and_group(path: Path) -> None:
    before = os.umask(0o022)
    try:
        with unix_socket(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_unix_socket_left_behind_is_replaced(path: Path) -> None:
    unix_socket(path).close()
    with unix_socket(path):
        assert path.is_socket()


def test_a_unix_socket_in_use_is_kept(path: Path) -> None:
    with unix_socket(path) as used:
        used.listen(1)
        for _ in range(4):  # also with a full queue
            with pytest.raises(CommandError, match=r"[Aa]lready in use|temporarily unavailable"):
                unix_socket(path)
        assert path.is_socket()


def test_another_file_is_not_replaced(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(CommandError, match="cannot be listened on"):
        unix_socket(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/x.sock", "x" * 200])
def test_an_impossible_path_is_refused(path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be listened on"):
        unix_socket(path.with_name(name) if "/" not in name else Path(name))


def test_every_address_of_both_kinds() -> None:
    with dual_stack_socket(0) as listening:
        listening.listen(2)
        port = listening.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=10).close()
        with pytest.raises(CommandError, match=f"port {port} cannot be listened on"):
            dual_stack_socket(port)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


def test_an_inherited_socket_is_used_as_it_is(listening: socket.socket) -> None:
    fd = os.dup(listening.fileno())
    with socket_of(fd) as found:
        assert found.getsockname() == listening.getsockname()
        assert not found.get_inheritable()


def test_what_is_not_a_listening_stream_is_refused(listening: socket.socket, tmp_path: Path) -> None:
    with socket.create_connection(listening.getsockname()) as connected, (tmp_path / "file").open("w") as file:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            fds = [os.dup(connected.fileno()), os.dup(file.fileno()), os.dup(datagrams.fileno())]
        for fd, reason in zip(fds, ("is a connection", "is not a socket", "not a stream"), strict=True):
            with pytest.raises(CommandError, match=reason):
                socket_of(fd)
    for fd in (-1, 9999):
        with pytest.raises(CommandError, match="is not a socket"):
            socket_of(fd)


@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "2"}, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}])
def test_sockets_of_another_process_are_not_ours(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment) == []


@pytest.mark.parametrize("count", ["", "two", "-1"])
def test_a_number_that_makes_no_sense_is_refused(count: str) -> None:
    with pytest.raises(CommandError, match="LISTEN_FDS"):
        inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
