import ssl
import stat
from pathlib import Path

import pytest

from service.store import open_store
from service.store.address import read_address
from service.store.options import StoreError, StoreOptions
from tests.support.store import secret_file

PASSWORD = "pass-word"


def test_a_file_that_only_its_owner_may_read_is_made(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    url, _ = read_address(f"sqlite:///{path}")
    assert url.database == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_plain_postgresql_url_is_for_pg8000() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+pg8000"):
        url, arguments = read_address(f"{scheme}://user:{PASSWORD}@db.example/corrections")
        assert url.drivername == "postgresql+pg8000"
        assert (url.host, url.port, url.database, url.password) == ("db.example", 5432, "corrections", PASSWORD)
        assert arguments["timeout"] > 0
        assert arguments["ssl_context"] is None


def test_a_unix_socket() -> None:
    url, arguments = read_address("postgresql://user@/corrections?host=/run/postgresql&port=5433")
    assert arguments["unix_sock"] == "/run/postgresql/.s.PGSQL.5433"
    assert url.host is None


def test_tls_can_be_forbidden() -> None:
    assert read_address("postgresql://user@db.example/c?sslmode=disable")[1]["ssl_context"] is False


@pytest.mark.parametrize(
    ("mode", "verify", "hostname"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_tls_modes_mean_what_they_mean_for_libpq(mode: str, verify: ssl.VerifyMode, hostname: bool) -> None:
    _, arguments = read_address(f"postgresql://user@db.example/c?sslmode={mode}")
    context = arguments["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "not a URL"),
        ("mysql://user:pass-word@host/db", "begins with mysql"),
        ("postgresql+psycopg://user:pass-word@host/db", r"begins with postgresql\+psycopg"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all.db", "cannot be written: No such file"),
        ("postgresql://user:pass-word@host/db?options=-c", "parameter 'options'"),
        ("postgresql://user:pass-word@host:port/db", "not a URL"),
        ("postgresql://user:pass-word@host/db?sslmode=sure", "sslmode"),
        ("postgresql://user:pass-word@host/db?sslmode=verify-full&sslrootcert=/nowhere", "sslrootcert"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as refused:
        read_address(url)
    assert PASSWORD not in str(refused.value)


def test_a_store_needs_the_secret(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="FETAL_PLANES_STORE_SECRET"):
        open_store(StoreOptions(f"sqlite:///{tmp_path / 'a.db'}", None))
    options = StoreOptions(f"postgresql://user:{PASSWORD}@host/db", secret_file(tmp_path))
    assert PASSWORD not in repr(options)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = StoreOptions(f"sqlite:///{tmp_path / 'a.db'}", secret_file(tmp_path), frames=tmp_path / "file" / "f")
    with pytest.raises(StoreError, match="FETAL_PLANES_STORE_FRAMES"):
        open_store(options)
