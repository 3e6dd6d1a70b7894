"""Run nginx with the shipped configuration in front of services."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench.servers import start_service
from tests.support.paths import ROOT

CONF = ROOT / "deploy" / "nginx"
STOP_TIMEOUT_S = 20


class Front(NamedTuple):
    """A running nginx: its URL, a context that trusts its certificate, its folder, and the replicas behind it."""

    url: str
    trust: ssl.SSLContext
    folder: Path
    replicas: dict[int, "subprocess.Popen[str]"]

    def client(self) -> httpx2.Client:
        """A client that trusts the certificate."""
        return httpx2.Client(base_url=self.url, verify=self.trust, timeout=60)

    def log(self) -> str:
        """Return the access log of nginx."""
        return (self.folder / "access.log").read_text()

    def replicas_log(self) -> str:
        """Return the logs of all replicas."""
        return "".join((self.folder / f"{number}.log").read_text() for number in self.replicas)


def make_certificate(folder: Path) -> None:
    """Write a self-signed certificate with `make tls-certificate`."""
    subprocess.run(["make", "-s", "tls-certificate", f"CERTIFICATES={folder}"], cwd=CONF.parents[1], check=True)


def lay_out(folder: Path, port: int, replicas: list[int]) -> Path:
    """Write the shipped configuration with another port, other replicas and other log files."""
    make_certificate(folder / "certs")
    conf = (CONF / "nginx.conf").read_text()
    changes = {
        "listen 8443": f"listen 127.0.0.1:{port}",
        "/run/nginx/": f"{folder}/run/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
    }
    for old, new in changes.items():
        assert old in conf
        conf = conf.replace(old, new)
    (folder / "run").mkdir()
    (folder / "nginx.conf").write_text(conf)
    servers = "".join(f"server 127.0.0.1:{replica} max_fails=1 fail_timeout=5s; " for replica in replicas)
    upstream = f"upstream replicas {{ zone replicas 64k; least_conn; {servers} keepalive 16; }}"
    (folder / "upstream.conf").write_text(upstream)
    return folder / "nginx.conf"


def run_nginx(conf: Path) -> "subprocess.Popen[bytes]":
    """Start nginx. Its workers run as the same user, because only that user can read the folder of a test."""
    rights = "user root; " if os.geteuid() == 0 else ""
    command = [str(find_nginx()), "-p", str(conf.parent), "-c", str(conf), "-g", f"{rights}daemon off;"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_replica(model: Path, port: int, folder: Path) -> "subprocess.Popen[str]":
    """Start a service that writes its log into `folder`."""
    with (folder / f"{port}.log").open("w") as log:
        return start_service(model, port, stderr=log.fileno())


def find_nginx() -> str | None:
    """Return the path of nginx. Debian keeps it in a folder that only root has in its PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def answers(client: httpx2.Client) -> bool:
    """Return whether the front passes a request on to a service that is ready."""
    try:
        return client.get("/health/ready").status_code == 200
    except httpx2.TransportError:
        return False
