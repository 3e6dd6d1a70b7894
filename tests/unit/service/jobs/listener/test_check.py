"""`listen --check` says in words what is wrong."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bench.servers import free_port
from service import cli
from service.analysis.batch import Selection
from service.cli.listen.options import listener_options, server_options
from service.jobs.listener.listener import Listener
from service.jobs.listener.network.check import check_scanner
from service.jobs.listener.network.check import echo as check_echo
from service.jobs.listener.options import Access, DicomPeer, ServerOptions
from service.jobs.runner import FrameChoice
from service.settings import Settings
from tests.support.listener import TITLE, Setup, destination, echo
from tests.support.waiting import eventually


def shown(scanner: DicomPeer, options: ServerOptions, wait_s: float = 0.1) -> tuple[bool, str]:
    lines: list[str] = []
    return check_scanner(scanner, options, wait_s, lines.append), "\n".join(lines)


def test_both_ways_work_and_the_three_values_are_shown() -> None:
    options = ServerOptions(TITLE, "127.0.0.1", free_port())
    with destination() as scanner:
        echoed = threading.Thread(target=lambda: eventually(lambda: echo(options.port)))
        echoed.start()
        works, words = shown(replace(scanner.peer), options, 60)
        echoed.join()
    assert not works  # this destination supports no C-ECHO
    assert "an echo came from 127.0.0.1" in words
    for value in (f"AE title  {TITLE}", "Host      127.0.0.1", f"Port      {options.port}"):
        assert value in words


def test_the_scanner_answers(setup: Setup) -> None:
    with setup.running() as scanner:
        found = check_echo(DicomPeer(TITLE, "127.0.0.1", scanner.server.port), "ME")
    assert found.works
    assert found.words.endswith(f"answers C-ECHO as {TITLE}.")


def test_a_refused_connection_an_unknown_name_and_a_dropped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServerOptions(TITLE, "127.0.0.1", free_port())
    assert "refuses the connection" in shown(DicomPeer("A", "127.0.0.1", free_port()), options)[1]
    assert "is unknown" in check_echo(DicomPeer("A", "no-such-name.invalid", 104), "ME").words

    def drop(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("socket.create_connection", drop)
    assert "a firewall drops the connection" in check_echo(DicomPeer("A", "127.0.0.1", 104), "ME").words


def test_a_wrong_title_of_either_side(setup: Setup) -> None:
    setup.server = replace(setup.server, access=Access(("KNOWN",)))
    with setup.running() as scanner:
        port = scanner.server.port
        wrong = check_echo(DicomPeer("WRONG", "127.0.0.1", port), "KNOWN").words
        unknown = check_echo(DicomPeer(TITLE, "127.0.0.1", port), "ME").words
    assert f"write --check TITLE@127.0.0.1:{port}" in wrong
    assert "does not know the AE title ME" in unknown


def test_a_listener_that_runs_already_is_asked(setup: Setup) -> None:
    with setup.running() as listener:
        options = replace(setup.server, port=listener.server.port)
        _, words = shown(DicomPeer("A", "127.0.0.1", free_port()), options)
    assert "a listener already runs here and answers" in words


def test_an_echo_that_does_not_come_or_asks_for_another_title() -> None:
    options = ServerOptions(TITLE, "127.0.0.1", free_port())
    scanner = DicomPeer("A", "127.0.0.1", free_port())
    assert "no echo came within" in shown(scanner, options)[1]
    asking = threading.Thread(target=lambda: [echo(options.port, title="OTHER") for _ in range(40)])
    asking.start()
    _, words = shown(scanner, options, 4)
    asking.join()
    assert f"type {TITLE} into the scanner" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--spool", "s"], "nothing would be done"),
        (["--to", "A@127.0.0.1:104"], "needs --spool"),
        (["--spool", "s", "--to", "127.0.0.1:104"], "TITLE@HOST:PORT"),
        (["--spool", "s", "--to", "A@127.0.0.1:99999"], "TITLE@HOST:PORT"),
        (["--spool", "s", "--webhook", "http://127.0.0.1/"], "needs --webhook-secret"),
        (["--spool", "s", "--webhook", "ftp://x", "--webhook-secret", "S"], "not an HTTP address"),
        (["--spool", "s", "--webhook", "http://127.0.0.1/", "--webhook-secret", "NO_SUCH"], "is not set"),
        (["--aet", "MUCH-TOO-LONG-A-TITLE", "--spool", "s", "--exams", "e"], "is not an AE title"),
        (["--allow-host", "no-such-name.invalid", "--spool", "s", "--exams", "e"], "is unknown"),
        (["--tls-cert", "no-such-file", "--port", "0", "--spool", "s", "--exams", "e"], "TLS files cannot be used"),
    ],
)
def test_a_wrong_command_line_is_reported_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, setup: Setup
) -> None:
    monkeypatch.chdir(setup.folder)
    assert cli.main(["listen", *arguments]) == 2
    output = capsys.readouterr().err
    assert words in output
    assert output.count("\n") == 1


def test_frames_of_loops_are_chosen_as_in_other_commands() -> None:
    arguments = ["listen", "--spool", "s", "--exams", "e", "--fps", "2.5", "--limit", "3", "--best"]
    options = cli.build_parser().parse_args(arguments)
    assert listener_options(options, Settings(), server_options(options)).results.choice == FrameChoice(
        Selection(fps=2.5, limit=3), best=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_listener_and_the_handlers_are_the_earlier_ones_again(
    number: signal.Signals, phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    real = Listener.start

    def start(self: Listener) -> None:
        real(self)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(Listener, "start", start)
    folders = ["--spool", str(tmp_path / "spool"), "--exams", str(tmp_path / "exams")]
    arguments = ["--host", "127.0.0.1", "--port", "0", *folders, "--model", str(phantom_folder)]
    assert cli.main(["listen", *arguments]) == 0
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before
