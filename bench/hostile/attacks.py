"""Send hostile uploads to a service, and keep what it answers."""

import http.client
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm

from service.errors import TABLE
from tests.support.hostile import HOSTILE

_FILE_ENDPOINTS = ("/classify", "/explain", "/frame")
_BATCH_ENDPOINTS = ("/classify/batch", "/exam")
_FORM = "multipart/form-data; boundary=XB"
_PART = b'--XB\r\nContent-Disposition: form-data; name="%s"; filename="a"%s\r\n\r\n%s\r\n'
_SLOW = ("jpeg-99-color-scans", "bmp-rle-empty-runs", "png-largest-rgba-16-interlaced")
_TIMEOUT_S = 120
_READ_S = 60
_STATUSES = {200, 400, 408, 413, 415, 422, 503, 504}


class Attack(NamedTuple):
    """A request: what it is called, its path, its headers, its body, and the pause after each byte of the body."""

    name: str
    path: str
    body: bytes
    headers: dict[str, str]
    pause_s: float = 0.0


class Answer(NamedTuple):
    """What came back; `seconds` run from the end of the upload to the head of the reply, status 0 is none."""

    name: str
    path: str
    status: int
    code: str
    seconds: float

    @property
    def documented(self) -> bool:
        """Whether the answer is one that the reference promises."""
        return self.status in _STATUSES and (self.status == 200 or self.code in TABLE)


def form(files: Sequence[bytes], name: bytes = b"files", parameters: bytes = b"") -> bytes:
    """Return a multipart body."""
    return b"".join(_PART % (name, parameters, data) for data in files) + b"--XB--\r\n"


def attacks(files: dict[str, bytes]) -> Iterator[Attack]:
    """Yield every hostile request: each file alone, files together, forms, and slow senders."""
    for name, data in files.items():
        for path in _FILE_ENDPOINTS:
            yield Attack(name, path, data, {})
    names = list(files)
    for path in _BATCH_ENDPOINTS:
        for first in range(0, len(names), 8):
            some = [files[name] for name in names[first : first + 8]]
            yield Attack(f"files from {names[first]}", path, form(some), {"Content-Type": _FORM})
        for name in _SLOW:
            if name in files:
                yield Attack(f"forty of {name}", path, form([files[name]] * 40), {"Content-Type": _FORM})
        yield from _forms(path)
    yield Attack("accept of 62 kB", "/classify", b"x", {"Accept": ",".join(["a/b;q=0.1"] * 6_000)})
    yield Attack("a byte a second", "/classify", bytes(1_000), {}, pause_s=1)
    yield Attack("a byte a second", "/exam", form([bytes(1_000)]), {"Content-Type": _FORM}, pause_s=1)


def _forms(path: str) -> Iterator[Attack]:
    bodies = {
        "2000 parts with long parameters": form([b"x"] * 2_000, parameters=b";a=b" * 4_000),
        "20000 parts": form([b"x"] * 20_000),
        "part without end": form([bytes(1_000_000)])[:-8],
        "empty parts": form([b""] * 2_000),
        "boundaries only": b"--XB\r\n" * 1_000_000,
        "header without end": b"--XB\r\n" + b"a" * 8_000_000,
    }
    for name, body in bodies.items():
        yield Attack(name, path, body, {"Content-Type": _FORM})


def send(url: str, attack: Attack) -> Answer:
    """Send a request and read its whole reply."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_TIMEOUT_S)
    status, code, sent = 0, "", time.monotonic()
    with closing(connection), suppress(OSError, http.client.HTTPException, ValueError):
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end: the reply says why
            if attack.pause_s:
                _send_slowly(connection, attack)
            else:
                connection.request("POST", attack.path, attack.body, attack.headers)
        sent = time.monotonic()
        reply = connection.getresponse()
        seconds = time.monotonic() - sent
        body = _read(reply)
        if reply.getheader("content-type") == "application/problem+json":
            code = json.loads(body)["code"]
        return Answer(attack.name, attack.path, reply.status, code, seconds)
    return Answer(attack.name, attack.path, status, code, time.monotonic() - sent)


def _read(reply: http.client.HTTPResponse) -> bytes:
    """Return the body of a reply, at most what comes within a minute: a batch of slow files may go on for many."""
    ends, parts = time.monotonic() + _READ_S, list[bytes]()
    while time.monotonic() < ends and (part := reply.read1(2**16)):
        parts.append(part)
    return b"".join(parts)


def _send_slowly(connection: http.client.HTTPConnection, attack: Attack) -> None:
    connection.putrequest("POST", attack.path)
    for name, value in {**attack.headers, "Content-Length": str(len(attack.body))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert isinstance(connection.sock, socket.socket)
    for byte in attack.body:
        connection.send(bytes([byte]))
        with suppress(TimeoutError):  # the pause; a reply ends it
            connection.sock.settimeout(attack.pause_s)
            connection.sock.recv(1, socket.MSG_PEEK)
            break
    connection.sock.settimeout(_TIMEOUT_S)


def attack_service(url: str, files: dict[str, bytes], clients: int) -> list[Answer]:
    """Send every hostile request; return the answers."""
    with ThreadPoolExecutor(clients) as threads:
        answers = threads.map(partial(send, url), attacks(files))
        return list(tqdm(answers, "hostile requests", disable=None))  # no bar in a log file


@contextmanager
def in_process_of_its_own(url: str, names: Sequence[str], clients: int) -> Iterator["Attacker"]:
    """Run `attack_service` in another process, so that it does not slow down what is measured in this one.

    The context begins when the files are made.
    """
    attacker = Attacker(url, names, clients)
    try:
        yield attacker
    finally:
        attacker.process.kill()
        attacker.process.join()


class Attacker:
    """A process that sends the hostile requests once."""

    def __init__(self, url: str, names: Sequence[str], clients: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_run, args=(sender, url, names, clients), daemon=True)
        self.process.start()
        sender.close()
        self._receiver.recv()  # raises EOFError where the process failed

    @property
    def done(self) -> bool:
        """Whether all answers are there, or the process has failed."""
        return self._receiver.poll() or not self.process.is_alive()

    def answers(self) -> list[Answer]:
        """Wait for all answers and return them; raises EOFError where the process failed."""
        return [Answer(*each) for each in self._receiver.recv()]


def _run(sender: Connection, url: str, names: Sequence[str], clients: int) -> None:
    os.nice(19)  # an attacker has a machine of its own: what it does must not slow down what is measured
    files = {name: HOSTILE[name]() for name in names}
    sender.send("ready")
    sender.send([tuple(each) for each in attack_service(url, files, clients)])
