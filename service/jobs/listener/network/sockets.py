"""Connections with limits: pynetdicom itself reads a PDU of any length, from a peer of any slowness."""

import socket
import ssl
from collections import Counter, deque
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock
from time import monotonic, sleep

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from service.jobs.listener.options import NetworkLimits

_HEAD = 6  # bytes of a PDU before its content
_BLOCK = 64 * 1024
_MINUTE_S = 60.0
_MAX_HOSTS = 10_000


class PduTooLong(OSError):  # noqa: N818 (the peer's error)
    """The peer announces a PDU over the limit."""


class BoundedSocket(AssociationSocket):
    """A connection that reads no PDU over the limit, and none that takes too long; it slows down a fast sender."""

    def __init__(self, assoc: Association, client_socket: socket.socket, limits: NetworkLimits) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._limits = limits
        self._deadline = 0.0
        self._free_at = monotonic()  # when the bytes so far have taken their time at the highest rate
        self.received = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read the head of a PDU, or its content; less where the peer closes the connection. Raises `OSError`."""
        connection = self.socket
        if connection is None:
            raise OSError("the connection is closed")
        if nr_bytes == _HEAD:
            self._deadline = monotonic() + self._limits.timeout_s
        elif nr_bytes > self._limits.pdu_bytes:
            raise PduTooLong
        data = bytearray(nr_bytes)
        view, read = memoryview(data), 0
        while read < nr_bytes:
            connection.settimeout(max(0.001, self._deadline - monotonic()))
            count = connection.recv_into(view[read : read + _BLOCK])
            if not count:
                break
            read += count
        connection.settimeout(self._limits.timeout_s)  # for `send`
        view.release()
        del data[read:]
        self.received += read
        self._slow_down(read)
        return data

    def close(self) -> None:
        """Close the connection; pynetdicom forgets to where the peer has closed it already."""
        connection = self.socket
        super().close()
        if connection is not None:
            connection.close()

    def _slow_down(self, size: int) -> None:
        now = monotonic()
        self._free_at = max(self._free_at, now - 1.0) + size / self._limits.bytes_per_s  # a second's burst is free
        if self._free_at > now:
            sleep(min(self._free_at - now, 1.0))


def handshake(connection: socket.socket, context: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    """Return a connection that is ready for DICOM; raises `OSError`, also for a failed TLS handshake."""
    connection.settimeout(timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return connection
    return context.wrap_socket(connection, server_side=True)


class ConnectionRate:
    """Counts the connections of each host in the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._recent: deque[tuple[float, str]] = deque()
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def admit(self, host: str) -> bool:
        """Count a connection; return whether the host may have it."""
        now = monotonic()
        with self._lock:
            while self._recent and (self._recent[0][0] < now - _MINUTE_S or len(self._recent) > _MAX_HOSTS):
                _, old = self._recent.popleft()
                self._counts[old] -= 1
                if not self._counts[old]:
                    del self._counts[old]
            if self._counts[host] >= self._per_minute:
                return False
            self._recent.append((now, host))
            self._counts[host] += 1
            return True


def plain_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address of a peer; an IPv4 address that came as IPv6 is an IPv4 address."""
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
