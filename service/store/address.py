"""Reads the address of a database, as `FETAL_PLANES_STORE` has it."""

import getpass
import os
import ssl
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.store.options import StoreError

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+pg8000",
    "postgresql": "postgresql+pg8000",
    "postgresql+pg8000": "postgresql+pg8000",
}
_FORMS = "sqlite:////folder/file or postgresql://user:password@host/database"
_PARAMETERS = ("host", "port", "sslmode", "sslrootcert", "application_name")
_PORT = 5432
TIMEOUT_S = 5.0  # to connect, and for each reply of the server


def read_address(text: str) -> tuple[URL, dict[str, Any]]:
    """Return the URL for SQLAlchemy, and the arguments for the driver. Raises `StoreError`.

    Of a PostgreSQL URL it knows the parameters `host` and `port`, `sslmode`, `sslrootcert` and `application_name`, with
    the meaning that they have for libpq.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the message would quote the password
        raise StoreError(f"FETAL_PLANES_STORE is not a URL such as {_FORMS}") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise StoreError(f"FETAL_PLANES_STORE begins with {url.drivername}:; it must be {_FORMS}")
    url = url.set(drivername=driver)
    return _read_sqlite(url) if url.get_backend_name() == "sqlite" else _read_postgresql(url)


def _read_sqlite(url: URL) -> tuple[URL, dict[str, Any]]:
    if not url.database or url.database == ":memory:" or url.host or url.query:
        raise StoreError(f"FETAL_PLANES_STORE names no file; it must be {_FORMS}")
    path = Path(url.database).absolute()
    try:
        # Only its owner may read it; the files that SQLite adds next to it get the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"the store {path} cannot be written: {error.strerror}") from None
    return url.set(database=str(path)), {"timeout": TIMEOUT_S}


def _read_postgresql(url: URL) -> tuple[URL, dict[str, Any]]:
    given = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    if unknown := set(given) - set(_PARAMETERS):
        known = ", ".join(_PARAMETERS)
        raise StoreError(f"FETAL_PLANES_STORE has the parameter {min(unknown)!r}; known are {known}")
    host, port = given.get("host", url.host) or "localhost", given.get("port", str(url.port or _PORT))
    if not port.isdecimal():
        raise StoreError("FETAL_PLANES_STORE has a port that is not a number")
    arguments: dict[str, Any] = {
        "timeout": TIMEOUT_S,
        "application_name": given.get("application_name", "fetal-planes"),
    }
    if host.startswith("/"):  # the folder of the server's Unix socket
        arguments["unix_sock"] = f"{host}/.s.PGSQL.{port}"
    else:
        arguments["ssl_context"] = _tls(given.get("sslmode", "prefer"), given.get("sslrootcert"))
    if url.username is None:
        try:
            url = url.set(username=getpass.getuser())
        except (KeyError, OSError):  # a container's user may have no name
            raise StoreError("FETAL_PLANES_STORE names no user of the database") from None
    return url.set(host=host if not host.startswith("/") else None, port=int(port), query={}), arguments


def _tls(mode: str, root: str | None) -> ssl.SSLContext | bool | None:
    """Return pg8000's argument for a `sslmode`: False for no TLS, None for TLS without checks if the server has it."""
    if mode == "disable":
        return False
    if mode in ("allow", "prefer") and root is None:
        return None
    if mode not in ("allow", "prefer", "require", "verify-ca", "verify-full"):
        raise StoreError("FETAL_PLANES_STORE has an sslmode that libpq does not have")
    try:
        context = ssl.create_default_context(cafile=root)
    except OSError as error:
        raise StoreError(
            f"the sslrootcert of FETAL_PLANES_STORE cannot be read: {error.strerror or 'no PEM'}"
        ) from None
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    return context
