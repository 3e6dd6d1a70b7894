"""Command lines of `serve` that do not start it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import cli
from service.execution.decoders.decoder import HAS_PROCESSES
from service.execution.memory_budget import MIB


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "options",
    [
        ["--host", ""],
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "http"],
        ["--uds", "x", "--fd", "3"],
    ],
)
def test_an_address_that_makes_no_sense_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize("text", ["::1", "[::1]", " ::1 "])
def test_an_ipv6_address_may_have_brackets(text: str) -> None:
    assert cli.build_parser().parse_args(["serve", "--host", text]).host == "::1"


def test_a_container_without_room_for_one_frame_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], phantom_folder: Path
) -> None:
    monkeypatch.setattr("service.execution.memory_budget.memory_limit", lambda: 512 * MIB)
    assert cli.main(["serve", "--model", str(phantom_folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fetal-planes: one frame of the maximum size needs ")
    assert error.count("\n") == 1


def test_a_socket_that_was_not_inherited_is_refused(capsys: pytest.CaptureFixture[str], phantom_folder: Path) -> None:
    assert cli.main(["serve", "--model", str(phantom_folder), "--fd", "987"]) == 2
    assert "file descriptor 987 is not a socket" in capsys.readouterr().err


@pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")
@pytest.mark.parametrize("missing", ["pidfd_open", "memfd_create"])
@pytest.mark.parametrize("command", [["serve"], ["classify", __file__]])
def test_a_system_without_decoder_processes_is_named(
    missing: str,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    phantom_folder: Path,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, missing, refuse)
    assert cli.main([*command, "--model", str(phantom_folder)]) == 2
    assert "Operation not permitted" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
