"""The Kubernetes manifests: valid by the API's own schemas, in step with the service, and without rights."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import generate_latest

import service
from service.cli import build_parser
from service.observability.metrics import GAUGES, Metrics
from service.settings import Settings
from tests.support.kustomized import Resource, build
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
PLACES = ["base", "overlays/production", "overlays/monitoring"]
OLDEST, NEWEST = "1.28", "1.37"
LAST_REPLIES_S = 5


@pytest.fixture(params=PLACES)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return build(KUBERNETES / request.param)


def one(resources: list[Resource], kind: str) -> Any:
    (found,) = (resource for resource in resources if resource["kind"] == kind)
    return found


def pod(resources: list[Resource]) -> Any:
    return one(resources, "Deployment")["spec"]["template"]


def container(resources: list[Resource]) -> Any:
    (only,) = pod(resources)["spec"]["containers"]
    return only


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_valid_by_the_schemas(resources: list[Resource], version: str) -> None:
    for resource in resources:
        if resource["apiVersion"].startswith("monitoring.coreos.com/"):
            # Here, because this import takes longer than most files of tests.
            from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

            ServiceMonitor.model_validate(resource)
        else:
            kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_see_mistakes(resources: list[Resource]) -> None:
    deployment = one(resources, "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 75
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


def test_no_rights(resources: list[Resource]) -> None:
    of_pod, of_container = pod(resources)["spec"]["securityContext"], container(resources)["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["runAsUser"] == of_pod["runAsGroup"] == 10001
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["readOnlyRootFilesystem"] is True
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert pod(resources)["spec"]["automountServiceAccountToken"] is False
    assert "USER 10001:10001\n" in (KUBERNETES.parents[1] / "Dockerfile").read_text()


def test_everybody_selects_the_same_pods(resources: list[Resource]) -> None:
    labels = pod(resources)["metadata"]["labels"]
    selectors = [
        one(resources, "Deployment")["spec"]["selector"]["matchLabels"],
        one(resources, "Service")["spec"]["selector"],
        one(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["spec"]["podSelector"]["matchLabels"] for each in resources if each["kind"] == "NetworkPolicy"),
        *(each["labelSelector"]["matchLabels"] for each in pod(resources)["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)


def test_probes_and_service_ask_the_service_s_port(resources: list[Resource]) -> None:
    (port,) = container(resources)["ports"]
    assert port["containerPort"] == 8000
    asked = {kind: container(resources)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert {kind: probe["path"].removeprefix("/health/") for kind, probe in asked.items()} == {
        "startup": "ready",
        "readiness": "ready",
        "liveness": "live",
    }
    (entry,) = one(resources, "Service")["spec"]["ports"]
    assert {probe["port"] for probe in asked.values()} | {entry["targetPort"]} == {port["name"]}


def test_a_pod_has_the_time_to_leave(resources: list[Resource]) -> None:
    settings = Settings()
    needed = settings.drain_s + settings.upload_s + settings.deadline_s + LAST_REPLIES_S
    assert pod(resources)["spec"]["terminationGracePeriodSeconds"] > needed
    readiness = container(resources)["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"] < settings.drain_s


def test_nothing_goes_out_and_one_port_is_open(resources: list[Resource]) -> None:
    policies = [each["spec"] for each in resources if each["kind"] == "NetworkPolicy"]
    assert any(policy["policyTypes"] == ["Ingress", "Egress"] and policy["egress"] == [] for policy in policies)
    assert {port["port"] for policy in policies for rule in policy["ingress"] for port in rule["ports"]} == {8000}
    assert all(rule["from"] for policy in policies for rule in policy["ingress"])
    assert not [policy for policy in policies[1:] if policy.get("egress")]


def test_settings_exist(resources: list[Resource]) -> None:
    names = {f"FETAL_PLANES_{field.upper()}" for field in Settings.model_fields}
    assert {variable["name"] for variable in container(resources).get("env", [])} <= names


def test_the_image_is_of_this_version(resources: list[Resource]) -> None:
    assert container(resources)["image"] == f"fetal-planes:{service.__version__}"


@pytest.mark.parametrize("place", PLACES[1:])
def test_scales_on_a_metric_that_there_is(place: str) -> None:
    resources = build(KUBERNETES / place)
    scaler, deployment = one(resources, "HorizontalPodAutoscaler")["spec"], one(resources, "Deployment")
    (metric,) = scaler["metrics"]
    assert f"\n{metric['pods']['metric']['name']} " in exposition()
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]  # or each rollout would undo the scaling
    assert scaler["minReplicas"] > one(resources, "PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert metric["pods"]["metric"]["name"] in (KUBERNETES.parents[1] / "docs" / "how-to" / "kubernetes.md").read_text()
    assert {each["metadata"].get("namespace", "fetal-planes") for each in resources} == {"fetal-planes"}


def exposition() -> str:
    metrics = Metrics()
    metrics.watch(dict.fromkeys(GAUGES, lambda: 1))
    return generate_latest(metrics.registry).decode()


def test_the_monitor_finds_the_service() -> None:
    resources = build(KUBERNETES / "overlays" / "monitoring")
    monitor, entry = one(resources, "ServiceMonitor")["spec"], one(resources, "Service")
    assert monitor["selector"]["matchLabels"].items() <= entry["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in entry["spec"]["ports"]}


def test_the_audit_is_valid_and_has_no_rights() -> None:
    resources = build(KUBERNETES / "audit")
    for version in (OLDEST, NEWEST):
        for resource in resources:
            kubernetes_validate.validate(resource, version, strict=True)
    of_pod = one(resources, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = of_pod["spec"]["containers"]
    assert container["image"] == f"fetal-planes-audit:{service.__version__}"
    options = build_parser().parse_args(container["args"])
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
    assert mounts == {options.sources[0]: True, str(options.out.parent): False}
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) > 2 * options.memory_mib
    assert of_pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    selector = one(resources, "NetworkPolicy")["spec"]
    assert selector["podSelector"]["matchLabels"] == of_pod["metadata"]["labels"]
    assert "ingress" not in selector
    assert "egress" not in selector


def test_the_listener_has_one_pod_a_volume_and_no_rights() -> None:
    resources = build(KUBERNETES / "listener")
    for resource in resources:
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(resource, version, strict=True)
    found = one(resources, "StatefulSet")["spec"]
    (only,) = found["template"]["spec"]["containers"]
    assert found["replicas"] == 1
    assert only["image"] == f"fetal-planes:{service.__version__}"
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert found["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    options = build_parser().parse_args(only["args"])
    ports = {port["name"]: port["containerPort"] for port in only["ports"]}
    assert ports == {"dicom": options.port, "metrics": options.metrics_port}
    mounts = {mount["name"]: mount["mountPath"] for mount in only["volumeMounts"]}
    assert str(options.spool).startswith(f"{mounts['spool']}/")
    labels = found["template"]["metadata"]["labels"]
    assert one(resources, "Service")["spec"]["selector"] == labels
    assert one(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


def test_the_compose_profile_has_a_valid_command_and_a_local_port() -> None:
    services = yaml.safe_load((KUBERNETES.parents[1] / "docker-compose.yml").read_text())["services"]
    listener = services["listener"]
    words = [re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", word) for word in listener["command"]]
    options = build_parser().parse_args(words)
    assert str(options.spool) in {volume.split(":")[1] for volume in listener["volumes"]}
    title, host = options.to.partition(":")[0].split("@")
    assert services[host]["environment"]["ORTHANC__DICOM_AET"] == title
    for name in ("listener", "orthanc"):
        assert services[name]["profiles"] == ["dicom"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert all("127.0.0.1" in port for port in services[name]["ports"])


def test_the_compose_profile_of_the_store_names_settings_and_a_volume_of_the_image() -> None:
    root = KUBERNETES.parents[1]
    service = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]["with-store"]
    assert service["profiles"] == ["store"]
    assert {name.removeprefix("FETAL_PLANES_").lower() for name in service["environment"]} <= set(Settings.model_fields)
    assert all("127.0.0.1" in port for port in service["ports"])
    (folder,) = (volume.split(":")[1] for volume in service["volumes"])
    assert f"sqlite:///{folder}/" in service["environment"]["FETAL_PLANES_STORE"]
    assert re.search(rf"install -d -o 10001 -g 10001 .*{folder}\b", (root / "Dockerfile").read_text())
    (secret,) = service["secrets"]
    assert service["environment"]["FETAL_PLANES_STORE_SECRET"] == f"/run/secrets/{secret}"
