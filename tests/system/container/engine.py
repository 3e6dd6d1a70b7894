"""What builds and runs containers here: a Docker engine, or the stand-in beside the checkout, or nothing."""

import json
import os
import shutil
import subprocess
from typing import Any, NamedTuple

from tests.support.paths import ROOT

STAND_IN = ROOT.parent / "shared" / "tools" / "container-sandbox"
PROJECT = "fetal-planes-test"
IMAGE = "fetal-planes:test"


class Engine(NamedTuple):
    """One way to do what `docker build`, `docker compose` and `docker` do."""

    build_command: tuple[str, ...]
    compose_command: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def is_docker(self) -> bool:
        return self.command == ("docker",)

    def build(self) -> None:
        """Build the image from the checkout."""
        # The stand-in adds the context itself.
        run([*self.build_command, "-t", IMAGE, *(["."] if self.is_docker else [])])

    def compose(self, *arguments: str, port: int) -> None:
        """Do `compose ARGUMENTS` with docker-compose.yml, publishing the service on `port`."""
        environment = os.environ | {"TAG": IMAGE.partition(":")[2], "PORT": str(port)}
        run([*self.compose_command, "-p", PROJECT, *arguments], env=environment)

    def __call__(self, *arguments: str) -> str:
        """The output of `docker ARGUMENTS`."""
        return run([*self.command, *arguments]).strip()

    def container(self) -> str:
        """The id of the composed service's container."""
        return self("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()[0]

    def log(self) -> str:
        """What the composed service's container wrote, on both of its streams."""
        return run([*self.command, "logs", self.container()], stderr=subprocess.STDOUT)

    def inspect(self, name: str) -> dict[str, Any]:
        """What `docker inspect` tells of a container or an image."""
        (found,) = json.loads(self("inspect", name))
        return dict(found)

    def python(self, program: str) -> str:
        """The output of a Python program inside the running container."""
        return self("exec", self.container(), "python", "-Ic", program)

    def is_healthy(self) -> bool:
        """Whether the container's own health check passes."""
        if self.is_docker:
            return bool(self.inspect(self.container())["State"]["Health"]["Status"] == "healthy")
        run_check = subprocess.run([*self.command, "healthcheck", "run", self.container()], capture_output=True)
        return run_check.returncode == 0


def run(command: list[str], **options: Any) -> str:
    """The standard output of a command; what it said is in the exception if it fails."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run(command, cwd=ROOT, text=True, **streams)
    if done.returncode:
        said = f"{done.stdout}{done.stderr or ''}"[-4000:]
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{said}")
    return str(done.stdout)


def find_engine() -> Engine | str:
    """The engine of this machine, or why there is none."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Engine(("docker", "build"), ("docker", "compose"), ("docker",))
    if not STAND_IN.exists():
        return "no Docker engine answers, and ../shared/tools/container-sandbox is not there"
    if os.geteuid() != 0:
        return "no Docker engine answers, and ../shared/tools/container-sandbox needs root"
    tool = str(STAND_IN)
    return Engine((tool, "build"), (tool, "compose"), (tool, "podman"))
