"""A Prometheus that scrapes services with the deployed rules, in less time.

Prometheus scrapes and evaluates every two seconds instead of fifteen. Each `for` is four seconds; windows and numbers
of frames are those of `WINDOWS` and `FRAMES`. Every threshold is the deployed one.
"""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import helper, numpy_helper

from bench.servers import free_port
from tests.support.phantom_package import Phantom, write_manifest
from tests.system.monitoring.rules import CONFIG, RULES, need

EVERY_S = 2
FOR = "4s"
WINDOWS = {"5m": "12s", "15m": "16s", "30m": "10m", "1h": "8s", "1d": "24s", "6h": "12s", "7d": "40s"}
FRAMES = {"300": "60", "1000": "100"}
TIMEOUT_S = 150  # on a machine that is busy with other work; a minute is enough otherwise


def shortened(rules: str) -> str:
    """Return the rules with shorter windows and waits and with smaller numbers of frames."""
    rules = re.sub(r"^ *interval: .*\n", "", re.sub(r"  - name: .*", _bare, rules), flags=re.MULTILINE)
    rules = re.sub(r"^( *for: )\S+$", rf"\g<1>{FOR}", rules, flags=re.MULTILINE)
    rules = re.sub(r"\[(\d+\w)\]", lambda found: f"[{WINDOWS[found[1]]}]", rules)
    rules = re.sub(r"\boffset (\d+\w)", lambda found: f"offset {WINDOWS[found[1]]}", rules)
    return re.sub(r">= (\d+)\b", lambda found: f">= {FRAMES[found[1]]}", rules)


def _bare(line: re.Match[str]) -> str:
    return line[0].partition(" #")[0]


@dataclass(frozen=True)
class Job:
    """What Prometheus scrapes under one name."""

    name: str
    ports: tuple[int, ...]
    key_file: Path


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    pid: int

    def get(self, path: str, **query: str) -> Any:
        """Return the data of a reply of the HTTP API."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as reply:
            return json.loads(reply.read())["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series that a query finds now."""
        return list(self.get("query", query=query)["result"])

    def fired(self, seconds: float) -> set[tuple[str, str]]:
        """Return alert and job of everything that fired within the last `seconds`."""
        found = self.ask(f'group by (alertname, job) (last_over_time(ALERTS{{alertstate="firing"}}[{seconds:.0f}s]))')
        return {(each["metric"]["alertname"], each["metric"]["job"]) for each in found}

    def wait(self, query: str) -> None:
        """Wait until a query finds something."""
        until(lambda: bool(self.ask(query)), query)


def until(true: Callable[[], bool], what: object) -> None:
    """Wait until a condition holds. `what` names it in the error."""
    end = time.monotonic() + TIMEOUT_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(str(what))
        time.sleep(0.5)


@contextmanager
def prometheus(folder: Path, jobs: list[Job]) -> Iterator[Prometheus]:
    """Run Prometheus with the deployed configuration, except for addresses and intervals."""
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] = {"scrape_interval": f"{EVERY_S}s", "scrape_timeout": f"{EVERY_S}s"}
    config["global"]["evaluation_interval"] = f"{EVERY_S}s"
    deployed, _listener = config["scrape_configs"]
    del deployed["dns_sd_configs"]
    config["scrape_configs"] = [
        deployed
        | {
            "job_name": job.name,
            "authorization": {"credentials_file": str(job.key_file)},
            "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in job.ports]}],
        }
        for job in jobs
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules.yml").write_text(shortened(RULES.read_text()))
    address = f"127.0.0.1:{free_port()}"
    command = [need("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={folder / 'data'}"], stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://{address}", process.pid)
        until(lambda: _answers(running), "Prometheus")
        yield running
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def _answers(running: Prometheus) -> bool:
    try:
        return bool(running.get("status/runtimeinfo"))
    except OSError:
        return False


def write_brittle(folder: Path) -> Path:
    """Write a phantom package that passes its warm-up and fails on a white frame: ood_score reads a missing row."""
    phantom = Phantom()
    phantom.write(folder)
    model = onnx.load_model_from_string((folder / "classifier.onnx").read_bytes())
    next(node for node in model.graph.node if node.output[0] == "ood_score").output[0] = "raw_ood_score"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "rows"))
    model.graph.node.extend(
        [
            helper.make_node("Floor", ["raw_ood_score"], ["floor"]),
            helper.make_node("Cast", ["floor"], ["row"], to=onnx.TensorProto.INT64),
            helper.make_node("Gather", ["rows", "row"], ["nothing"]),
            helper.make_node("Add", ["raw_ood_score", "nothing"], ["ood_score"]),
        ]
    )
    (folder / "classifier.onnx").write_bytes(model.SerializeToString())
    write_manifest(folder, phantom.manifest())
    return folder
