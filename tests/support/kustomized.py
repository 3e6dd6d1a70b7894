"""Build a kustomization without kustomize, with the few features that `deploy/kubernetes` uses.

Supported: resources (files and other kustomizations), strategic-merge patches by kind and name, namespace, tags of
images. Anything else in a kustomization fails.
"""

from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
FEATURES = {"apiVersion", "kind", "resources", "patches", "namespace", "images"}
CLUSTER_WIDE = {"Namespace"}
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}
"""By what the API server tells the items of a list apart; other lists are replaced."""


def build(folder: Path) -> list[Resource]:
    """Every resource of the kustomization in `folder`."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= FEATURES
    resources: list[Resource] = []
    for name in kustomization["resources"]:
        path = folder / name
        resources += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in kustomization.get("patches", []):
        (change,) = yaml.safe_load_all((folder / patch["path"]).read_text())
        (place,) = (number for number, each in enumerate(resources) if identity(each) == identity(change))
        resources[place] = merge(resources[place], change)
    for resource in resources:
        if "namespace" in kustomization and resource["kind"] not in CLUSTER_WIDE:
            resource["metadata"]["namespace"] = kustomization["namespace"]
        for image in kustomization.get("images", []):
            set_tag(resource, image)
    return resources


def identity(resource: Resource) -> tuple[str, str, str]:
    return resource["apiVersion"], resource["kind"], resource["metadata"]["name"]


def merge(before: Any, change: Any, key: str | None = None) -> Any:
    """A strategic merge: mappings are merged, null takes away, lists are merged by their key where they have one."""
    if isinstance(before, dict) and isinstance(change, dict):
        merged = before | {name: merge(before.get(name), value, name) for name, value in change.items()}
        return {name: value for name, value in merged.items() if value is not None}
    if isinstance(before, list) and isinstance(change, list) and key in MERGE_KEYS:
        by = MERGE_KEYS[key]
        items = {item[by]: item for item in before}
        for item in change:
            items[item[by]] = merge(items.get(item[by]), item)
        return list(items.values())
    return change


def set_tag(resource: Resource, image: dict[str, str]) -> None:
    spec = resource.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)  # of a CronJob
    for container in spec.get("template", {}).get("spec", {}).get("containers", []):
        if container["image"].partition(":")[0] == image["name"]:
            container["image"] = f"{image['name']}:{image['newTag']}"
