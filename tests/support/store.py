"""Corrections, stores on SQLite, and real PostgreSQL servers for tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from service.schemas.corrections import NewCorrection
from service.store import open_store
from service.store.options import StoreOptions
from service.store.store import Store

SECRET = "a-secret-that-is-random-enough-0123456789"
PATIENT, STUDY = "QK-7731-PLANTED", "1.2.826.0.1.3680043.8.498.424242"
DATABASE_PASSWORD = "a-database-password"
MODEL = {"name": "phantom", "version": "1", "sha256": "f" * 64, "precision": "float32"}


def secret_file(folder: Path) -> Path:
    """Write a file with the site's secret."""
    path = folder / "site.secret"
    path.write_text(f"{SECRET}\n")
    return path


def correction(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the JSON of a correction of a numbered file."""
    return {
        "digest": sha256(str(number).encode()).hexdigest(),
        "frame": 0,
        "model": MODEL,
        "answer": {"plane": "fetal_brain", "sub_plane": None, "abstain_reason": None, "probability": 0.9},
        "verdict": "supplemented",
        "plane": "fetal_femur",
        "study": STUDY,
        "patient": PATIENT,
        "machine": "Voluson E10",
        "protocol": "Biometry 1",
    } | changes


def new(number: int = 0, **changes: Any) -> NewCorrection:
    """Return a correction of a numbered file."""
    return NewCorrection.model_validate(correction(number, **changes))


@contextmanager
def opened(url: str, folder: Path, **options: Any) -> Iterator[Store]:
    """Open a store; its secret and its frames lie in `folder`."""
    store = open_store(StoreOptions(url, secret_file(folder), **options))
    try:
        yield store
    finally:
        store.close()


def sqlite_url(folder: Path) -> str:
    """Return the URL of a database in a folder."""
    return f"sqlite:///{folder / 'store.db'}"


@cache
def postgres_programs() -> Path | None:
    """Return the folder of Debian's newest PostgreSQL server, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of its own, on a Unix socket only."""

    folder: Path
    programs: Path

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{DATABASE_PASSWORD}@/postgres?host={self.folder}"

    def start(self, tls_port: int | None = None) -> None:
        """Start the server and wait until it answers: on its Unix socket, or on a TCP port with TLS."""
        # `fsync` off: the tests kill clients and the server, not the machine.
        options = f"-c unix_socket_directories={self.folder} -c fsync=off"
        if tls_port is None:
            options += " -c listen_addresses=''"
        else:
            options += f" -c listen_addresses=127.0.0.1 -p {tls_port} -c ssl=on"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def is_running(self) -> bool:
        """Return whether the server runs."""
        return (self.folder / "data" / "postmaster.pid").exists()

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def make(self) -> None:
        """Create the cluster."""
        password = self.folder / "password"
        password.write_text(DATABASE_PASSWORD)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--locale=C.UTF-8"]
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", *options)

    def make_certificate(self) -> Path:
        """Make a certificate for 127.0.0.1 where the server looks for it, and return it."""
        certificate, key = (self.folder / "data" / f"server.{end}" for end in ("crt", "key"))
        subject = ["-subj", "/CN=postgres", "-addext", "subjectAltName=IP:127.0.0.1"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._run("/usr/bin/openssl", "req", "-x509", *kind, *subject, "-keyout", key, "-out", certificate)
        return certificate

    def dump(self) -> bytes:
        """Return everything in the database, as `pg_dump` writes it."""
        return self._run("pg_dump", "-h", self.folder, "-U", "postgres", "postgres")

    def empty(self) -> None:
        """Delete all tables."""
        schema = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        self._run("psql", "-q", "-h", self.folder, "-U", "postgres", "-c", schema, "postgres")

    def _run(self, program: str, *arguments: str | Path) -> bytes:
        command = [str(self.programs / program), *map(str, arguments)]
        owner = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        done = subprocess.run(
            command,
            capture_output=True,
            cwd=self.folder,
            env=os.environ | {"PGPASSWORD": DATABASE_PASSWORD},
            stdin=subprocess.DEVNULL,
            timeout=120,
            user=owner,
            group=owner,
            extra_groups=None if owner is None else [],
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start a new cluster, owned by the user `postgres` where the tests run as root, and delete it at the end."""
    programs = postgres_programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 characters
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        server = Postgres(folder, programs)
        server.make()
        server.start()
        try:
            yield server
        finally:
            if server.is_running():
                server.stop()
    finally:
        shutil.rmtree(folder)
