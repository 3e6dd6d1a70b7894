"""The alert rules are valid, use existing metrics, have a runbook, and fire when they should."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import generate_latest

from service.observability.listener_metrics import LISTENER_GAUGES, ListenerMetrics
from tests.support.images import encode, speckle
from tests.support.paths import ROOT
from tests.support.phantom_package import Phantom
from tests.system.monitoring.cases import CASES, UP, Series
from tests.system.monitoring.rules import CONFIG, METRIC, RULES, alerts, need, queries, rules

SEVERITIES = {"critical", "warning", "info"}


def promtool(*arguments: str) -> None:
    done = subprocess.run([need("promtool"), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "rules", str(RULES))
    promtool("check", "config", "--syntax-only", str(CONFIG))


def test_every_metric_exists(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom())
    for path in ("/classify", "/explain"):
        assert client.post(path, content=encode(speckle())).status_code == 200
    listener = ListenerMetrics()
    listener.watch(dict.fromkeys(LISTENER_GAUGES, lambda: 0.0))
    text = client.get("/metrics").text + generate_latest(listener.registry).decode()
    exposed = set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE))
    for expression in [rule["expr"] for rule in rules()] + [query for _, query in queries()]:
        assert set(METRIC.findall(expression)) <= exposed, expression


def test_every_recorded_series_is_used_and_every_used_one_recorded() -> None:
    expressions = [rule["expr"] for rule in rules()] + [query for _, query in queries()]
    used = {name for each in expressions for name in re.findall(r"job(?:_plane)?:\w+:\w+", each)}
    assert used == {rule["record"] for rule in rules() if "record" in rule}


def test_every_alert_has_a_severity_a_summary_and_a_heading_that_says_what_to_do() -> None:
    guide = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"
    assert re.findall(r"^### (\w+)$", guide, re.MULTILINE) == list(alerts())


def test_every_alert_has_its_cases() -> None:
    assert list(CASES) == list(alerts())
    assert all(case.fires and case.quiet for case in CASES.values())


@pytest.mark.parametrize(("at", "minutes"), sorted({(case.at, case.minutes) for case in CASES.values()}))
def test_each_alert_fires_when_it_must_and_not_otherwise(at: str, minutes: int, tmp_path: Path) -> None:
    together: Series = dict(UP)
    firing: set[tuple[str, str]] = set()
    groups = []
    for name, case in CASES.items():
        if (case.at, case.minutes) != (at, minutes):
            continue
        for number, series in enumerate(case.fires + case.quiet):
            fires = number < len(case.fires)
            if any(each.startswith("up{") for each in series):  # the rule names this one job
                groups.append(_group(at, minutes, UP | series, {(name, "fetal-planes")} if fires else set()))
                continue
            job = f"{name}-{number}"  # promtool evaluates every rule for each group of series
            together |= {each.replace('"fetal-planes"', f'"{job}"'): values for each, values in (UP | series).items()}
            firing |= {(name, job)} if fires else set()
    groups.append(_group(at, minutes, together, firing))
    file = tmp_path / "cases.json"  # JSON is YAML
    order = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]
    heading = {"rule_files": [str(RULES)], "evaluation_interval": f"{minutes}m", "group_eval_order": order}
    file.write_text(json.dumps(heading | {"tests": groups}, indent=1))
    promtool("test", "rules", str(file))


def _group(at: str, minutes: int, series: Series, firing: set[tuple[str, str]]) -> dict[str, Any]:
    """Return a test group of promtool: with these series, exactly these alerts of these jobs fire."""
    return {
        "interval": f"{minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname, job) (ALERTS{alertstate="firing"})',
                "eval_time": at,
                "exp_samples": [
                    {"labels": f'{{alertname="{name}", job="{job}"}}', "value": 1} for name, job in sorted(firing)
                ],
            }
        ],
    }
