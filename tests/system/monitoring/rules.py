"""The rules and the dashboard as they are deployed, for every test here."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
CONFIG = RULES.with_name("prometheus.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "fetal-planes.json"
METRIC = re.compile(r"(?<![:\w])(?:fetal_planes|process)_\w+")
LISTENER = "fetal_planes_listener_"  # metrics of `listen`, which does not run in the tests with services


def rules() -> list[dict[str, Any]]:
    """Every rule of the file, recording ones and alerts."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    return dict(json.loads(DASHBOARD.read_text()))


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, with the title of its panel."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def need(program: str) -> str:
    """The program's path; the test is skipped where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian's package prometheus has it)")
    return path
