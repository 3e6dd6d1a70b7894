"""Build and run containers with a Docker engine, or with the replacement next to the checkout."""

import json
import os
import shutil
import subprocess
from typing import Any, NamedTuple

from tests.support.paths import ROOT

REPLACEMENT = ROOT.parent / "shared" / "tools" / "container-sandbox"
PROJECT = "fetal-planes-test"
IMAGE = "fetal-planes:test"


class Engine(NamedTuple):
    """The commands that stand for `docker build`, `docker compose` and `docker`."""

    build_command: tuple[str, ...]
    compose_command: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def is_docker(self) -> bool:
        return self.command == ("docker",)

    def build(self) -> None:
        """Build the image from the checkout."""
        # The replacement adds the context itself.
        run([*self.build_command, "-t", IMAGE, *(["."] if self.is_docker else [])])

    def compose(self, *arguments: str, port: int) -> None:
        """Run `compose ARGUMENTS` with docker-compose.yml and publish the service on `port`."""
        environment = os.environ | {"TAG": IMAGE.partition(":")[2], "PORT": str(port)}
        run([*self.compose_command, "-p", PROJECT, *arguments], env=environment)

    def __call__(self, *arguments: str) -> str:
        """Return the output of `docker ARGUMENTS`."""
        return run([*self.command, *arguments]).strip()

    def container(self) -> str:
        """Return the id of the composed service's container."""
        return self("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()[0]

    def log(self) -> str:
        """Return both output streams of the composed service's container."""
        return run([*self.command, "logs", self.container()], stderr=subprocess.STDOUT)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what `docker inspect` prints about a container or an image."""
        (found,) = json.loads(self("inspect", name))
        return dict(found)

    def python(self, program: str) -> str:
        """Return the output of a Python program inside the running container."""
        return self("exec", self.container(), "python", "-Ic", program)

    def is_healthy(self) -> bool:
        """Whether the container's own health check passes."""
        if self.is_docker:
            return bool(self.inspect(self.container())["State"]["Health"]["Status"] == "healthy")
        run_check = subprocess.run([*self.command, "healthcheck", "run", self.container()], capture_output=True)
        return run_check.returncode == 0


def run(command: list[str], **options: Any) -> str:
    """Return the standard output of a command. If it fails, its output is in the exception."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run(command, cwd=ROOT, text=True, **streams)
    if done.returncode:
        output = f"{done.stdout}{done.stderr or ''}"[-4000:]
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{output}")
    return str(done.stdout)


def find_engine() -> Engine | str:
    """Return the engine of this machine, or the reason why containers cannot run."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Engine(("docker", "build"), ("docker", "compose"), ("docker",))
    if not REPLACEMENT.exists():
        return "no Docker engine answers, and ../shared/tools/container-sandbox is not there"
    if os.geteuid() != 0:
        return "no Docker engine answers, and ../shared/tools/container-sandbox needs root"
    tool = str(REPLACEMENT)
    return Engine((tool, "build"), (tool, "compose"), (tool, "podman"))
