"""Speak HTTP byte by byte to a running service."""

import socket


def address(url: str) -> tuple[str, int]:
    """Return the host and the port of a URL."""
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def read_reply(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read one reply with a `Content-Length`: its head and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    assert received, "the connection was closed within the reply"
    return received
