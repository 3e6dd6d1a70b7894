"""TLS to a real PostgreSQL server, as the `sslmode` says."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from bench.servers import free_port
from service.errors import StoreUnavailable
from service.store.database import Database
from tests.support.store import DATABASE_PASSWORD, Postgres

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def is_encrypted(url: str) -> bool:
    database = Database(url)
    try:
        with database.read() as connection:
            return bool(connection.execute(text(ENCRYPTED)).scalar_one())
    finally:
        database.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pg8000 leaves its socket to the GC
def test_sslmode(postgres: Postgres, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    port, own = free_port(), tmp_path / "root.crt"
    own.write_bytes(postgres.make_certificate().read_bytes())
    other = tmp_path / "other.crt"
    other.write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    postgres.stop("fast")
    postgres.start(tls_port=port)
    try:
        url = f"postgresql://postgres:{DATABASE_PASSWORD}@127.0.0.1:{port}/postgres"
        assert is_encrypted(url)
        assert not is_encrypted(f"{url}?sslmode=disable")
        assert is_encrypted(f"{url}?sslmode=require")
        assert is_encrypted(f"{url}?sslmode=verify-full&sslrootcert={own}")
        with pytest.raises(StoreUnavailable):
            is_encrypted(f"{url}?sslmode=verify-full")
        with pytest.raises(StoreUnavailable):
            is_encrypted(f"{url}?sslmode=require&sslrootcert={other}")
        with pytest.raises(StoreUnavailable):  # the certificate does not name this host
            is_encrypted(f"{url}?sslmode=verify-full&sslrootcert={own}".replace("127.0.0.1", "localhost"))
    finally:
        postgres.stop("fast")
        postgres.start()
