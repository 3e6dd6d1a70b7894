"""The manifests for Ray match the code."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.cli import build_parser
from service.ray.proxy_errors import middlewares
from service.ray.scaling import Scale
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy" / "ray"
BUILD = "service.ray.serving:build"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def clusters() -> list[Any]:
    return [
        read("kubernetes/service.yaml")["spec"]["rayClusterConfig"],
        read("kubernetes/job.yaml")["spec"]["rayClusterSpec"],
    ]


@pytest.mark.parametrize("kind", ["file", "RayService"])
def test_the_manifests_serve_the_app_with_valid_arguments(kind: str) -> None:
    config = read("serve.yaml") if kind == "file" else yaml.safe_load(
        read("kubernetes/service.yaml")["spec"]["serveConfigV2"]
    )  # fmt: skip
    (application,) = config["applications"]
    assert application["import_path"] == BUILD
    assert (DEPLOY.parents[1] / "service/ray/serving.py").read_text().count("\ndef build(") == 1
    assert Scale(**application["args"]).max_replicas >= 1
    assert (application["route_prefix"], config["http_options"]["port"]) == ("/", 8000)


def test_a_replica_fits_on_a_worker_node() -> None:
    service = read("kubernetes/service.yaml")["spec"]
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    (workers,) = service["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert float(container["resources"]["limits"]["cpu"]) >= Scale(**application["args"]).cpus


def test_the_job_runs_the_table_command() -> None:
    job = read("kubernetes/job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options = build_parser().parse_args(job["spec"]["entrypoint"].split()[1:])
    assert options.ray == "auto"
    mounts = {
        mount["mountPath"]
        for group in (job["spec"]["rayClusterSpec"]["workerGroupSpecs"])
        for mount in group["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert {options.source, str(Path(options.out).parent)} == mounts


def test_no_container_has_more_rights_than_it_needs() -> None:
    for cluster in clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            spec = group["template"]["spec"]
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["containers"][0]["securityContext"]["capabilities"]["drop"] == ["ALL"]
            assert spec["containers"][0]["resources"]["limits"]["memory"]


def test_nodes_have_the_locked_version_and_no_usage_reports() -> None:
    locked = (DEPLOY.parents[1] / "requirements/ray.txt").read_text()
    assert all(f"\nray=={cluster['rayVersion']} " in locked for cluster in clusters())
    image = (DEPLOY / "Dockerfile").read_text()
    assert "RAY_USAGE_STATS_ENABLED=0" in image
    callback = f"{middlewares.__module__}:{middlewares.__name__}"
    assert f"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH={callback}" in image
