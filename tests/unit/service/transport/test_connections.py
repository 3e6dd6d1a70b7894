"""Which connections are served, refused and closed at the limit."""

import logging
import resource
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.transport import connections as module
from service.transport.connections import Connections, TimeLimits, free_files

FREE = 16  # files: 12 connections are served, and 14 are open


class Client:
    """A connection that notes what is done to it."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.refused = self.closed = False

    def refuse(self) -> None:
        self.refused = True

    def close(self) -> None:
        self.closed = True
        self.connections.leave(self)


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def connect(connections: Connections, count: int) -> list[Client]:
    clients = [Client(connections) for _ in range(count)]
    for client in clients:
        connections.enter(client)
    return clients


def limited() -> Connections:
    connections = Connections(TimeLimits(20, 1000))
    connections.free_files = FREE
    return connections


def test_the_connection_that_waited_longest_makes_room(clock: Clock) -> None:
    connections = limited()
    first = connect(connections, 12)
    connections.busy(first[0])
    clock.now += 0.5
    (early,) = connect(connections, 1)
    assert early.refused  # nobody has waited for a second
    clock.now += 0.6
    (late,) = connect(connections, 1)
    assert [client.refused for client in first] == [False, True, *[False] * 10]
    assert not late.refused


def test_a_refused_connection_is_closed_for_another_when_its_client_is_silent(clock: Clock) -> None:
    connections = limited()
    connect(connections, 12)
    refused = connect(connections, 2)
    assert all(client.refused for client in refused)
    assert connections.full
    clock.now += 0.2
    connections.heard(refused[0])
    clock.now += 0.1
    assert not connections.full
    assert [client.closed for client in refused] == [False, True]


def test_replies_end_connections_when_few_are_left() -> None:
    connections = limited()
    clients = connect(connections, 10)
    assert not connections.crowded
    clients += connect(connections, 1)
    assert connections.crowded
    clients[0].close()
    assert not connections.crowded


@given(st.lists(st.sampled_from(["enter", "leave", "busy", "idle", "heard", "wait"]), max_size=200), st.randoms())
def test_no_more_connections_are_open_than_there_are_files(steps: list[str], chance: Random) -> None:
    connections, clients = limited(), list[Client]()
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "monotonic", clock)
        for step in steps:
            if step == "wait":
                clock.now += 0.4
            elif step == "enter":
                clients += [] if connections.full else connect(connections, 1)
            elif clients:
                getattr(connections, step)(client := chance.choice(clients))
                clients = [each for each in clients if each is not client or step != "leave"]
            clients = [client for client in clients if not client.closed]
            assert sum(not client.refused for client in clients) <= 12
            assert len(clients) <= 14


def test_one_line_per_second(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    connections = limited()
    with caplog.at_level(logging.WARNING):
        connect(connections, 500)
        clock.now += 1
        connect(connections, 1)
    assert [vars(record)["left_out"] for record in caplog.records] == [0, 487]


@pytest.mark.parametrize(("limit", "most"), [(1024, 1024), (resource.RLIM_INFINITY, 10_000), (10, 16)])
def test_the_limit_on_files_is_read(monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert 16 <= free_files() <= most


@pytest.mark.parametrize(("count", "seconds"), [(0, 20), (1000, 20), (1001, 40), (5000, 100)])
def test_a_transfer_has_time_for_its_length(count: int, seconds: float) -> None:
    assert TimeLimits(20, 1000).seconds(count) == seconds
