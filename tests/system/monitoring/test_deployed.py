"""The dashboard, and the containers of Prometheus and Grafana in the compose file."""

from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from tests.system.monitoring.rules import DASHBOARD, dashboard

PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
SOURCE = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
WATCHERS = ("prometheus", "grafana")


def test_panels_are_numbered_titled_and_next_to_each_other() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in every)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert {x for x, _ in taken} == set(range(24))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_has_a_unit_and_queries_of_its_own_letters(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == sorted(set(letters))
    assert all('job="$job"' in target["expr"] for target in panel["targets"])


def test_dashboard_variables_and_notes_ask_the_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load(SOURCE.read_text())["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    board = dashboard()
    asking = PANELS + board["templating"]["list"] + board["annotations"]["list"]
    assert all(each["datasource"] == wanted for each in asking)
    assert source["url"] == "http://prometheus:9090"


def test_the_files_are_where_grafana_looks() -> None:
    (provider,) = yaml.safe_load((SOURCE.parents[1] / "dashboards" / "files.yml").read_text())["providers"]
    mounts = {mount.split(":")[1]: mount.split(":")[0] for mount in COMPOSE["services"]["grafana"]["volumes"]}
    assert ROOT / mounts[provider["options"]["path"]] == DASHBOARD.parent
    assert ROOT / mounts["/etc/grafana/provisioning"] == SOURCE.parents[1]
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"


@pytest.mark.parametrize("name", WATCHERS)
def test_a_monitoring_container_has_no_rights_limits_and_a_local_port(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["profiles"] == ["watch"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "restart", "healthcheck"} <= set(service)
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    tag = service["image"].removesuffix("}").rpartition(":")[2]
    assert tag.count(".") == 2


def test_nobody_can_log_in_to_grafana() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not [name for name in environment if "PASSWORD" in name]


def test_prometheus_finds_the_service_and_its_key() -> None:
    scraped, listener = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (found,) = listener["dns_sd_configs"]
    assert (found["names"], COMPOSE["services"]["listener"]["profiles"]) == (["listener"], ["dicom"])
    assert str(found["port"]) in COMPOSE["services"]["listener"]["command"]
    (found,) = scraped["dns_sd_configs"]
    assert found["names"] == ["fetal-planes"]
    assert found["names"][0] in COMPOSE["services"]
    (secret,) = COMPOSE["services"]["prometheus"]["secrets"]
    assert scraped["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    default = COMPOSE["secrets"][secret]["file"].partition(":-")[2].removesuffix("}")
    assert (ROOT / default).read_text() == ""
