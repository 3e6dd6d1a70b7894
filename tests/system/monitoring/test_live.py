"""A real Prometheus scrapes real services: each alert fires because of its fault, and every panel has data.

One run of about a minute causes all faults in parallel. The tests read its record.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.monitoring.faults import FaultyServices, repeating
from tests.system.monitoring.rules import LISTENER, RULES, alerts, dashboard, need, queries
from tests.system.monitoring.watched import FOR, FRAMES, WINDOWS, Prometheus, prometheus, shortened, until

BY = {
    "ServiceDown": "fetal-planes",  # killed
    "NotReady": "faulty",  # terminated, with ten minutes to drain
    "Restarting": "overloaded",  # killed and started again, twice
    "ServerErrors": "faulty",  # a model that fails on some frames
    "ReloadFailed": "faulty",  # half a file in the model package
    "ModelsDiffer": "mixed",  # two replicas of two models
    "Overloaded": "overloaded",  # six clients for four slots
    "NearlyFull": "leaking",  # long uploads that are never finished
    "DeadlinesPassed": "overloaded",  # a machine that stalls for a second at a time
    "SlowAnswers": "overloaded",
    "LongQueue": "overloaded",
    "SlowStage": "overloaded",
    "MemoryGrowing": "leaking",
    "FilesGrowing": "leaking",  # connections that nobody closes
    "UnreadableUploads": "faulty",
    "KeysRefused": "faulty",
    "NoTraffic": "leaking",
    "AbstentionDrift": "fetal-planes",  # frames of another kind than before
    "ConfidenceDrift": "fetal-planes",
    "PlaneMixDrift": "fetal-planes",
}
LAST = {"ServiceDown", "NotReady", "Restarting"}
TIMING = {
    "ServiceDown",
    "SlowAnswers",
    "LongQueue",
    "SlowStage",
    "DeadlinesPassed",
}  # these may fire on a busy machine
PANELS = [each for each in queries() if LISTENER not in each[1]]
_HEALTHY_S = 20  # Before Prometheus has found a service, the rules take it for missing.


@dataclass(frozen=True)
class Record:
    """Alerts by job, first and during the faults; the summaries of alerts; and the data of each panel."""

    at_first: set[tuple[str, str]]
    fired: set[tuple[str, str]]
    summaries: dict[str, str]
    shown: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    need("prometheus")
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        services = FaultyServices(folder)
        stack.callback(services.close)
        services.wait()
        server = stack.enter_context(prometheus(folder, services.jobs))
        yield _run(services, server)


def _run(services: FaultyServices, server: Prometheus) -> Record:
    summaries: dict[str, str] = {}
    with repeating(services.send_usual_frames):
        server.wait(f'fetal_planes_ready{{job="leaking"}} offset {WINDOWS["1d"]} == 1')
        server.wait(f'increase(fetal_planes_confidence_count{{job="fetal-planes"}}[40s]) > {FRAMES["1000"]}')
        at_first = server.fired(_HEALTHY_S)
    begun = time.monotonic()

    def fired() -> set[tuple[str, str]]:
        return server.fired(time.monotonic() - begun + 1)

    def have_fired(names: set[str]) -> bool:
        for alert in server.get("alerts")["alerts"]:
            if alert["state"] == "firing":
                summaries[alert["labels"]["alertname"]] = alert["annotations"]["summary"]
        return {(name, BY[name]) for name in names} <= fired()

    services.leak()
    services.break_model()
    clients = [services.send_without_back_off] * 4 + [services.send_with_deadline] * 2
    with repeating(services.send_unusual_frames, services.misuse, services.stall, *clients):
        _wait_at_most(lambda: have_fired(set(BY) - LAST))
        shown = {query: server.ask(_filled(query)) for _, query in PANELS}
        (note,) = dashboard()["annotations"]["list"]
        server.ask(_filled(note["expr"]))
    services.faulty.process.terminate()
    for count in (1, 2):
        services.overloaded.restart()
        server.wait(f'changes(process_start_time_seconds{{job="overloaded"}}[10m]) >= {count}')
    services.healthy.process.kill()
    _wait_at_most(lambda: have_fired(LAST))
    return Record(at_first, fired(), summaries, shown)


def _wait_at_most(true: Callable[[], bool]) -> None:
    """Wait. A condition that never holds fails the test of its alert, not the run."""
    with suppress(TimeoutError):
        until(true, "alerts")


def _filled(query: str) -> str:
    """Return a query as Grafana sends it."""
    for name, value in {"$job": "fetal-planes", "$instance": ".*", "$__rate_interval": "12s"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def test_shortened_rules_differ_in_times_only() -> None:
    slow, fast = RULES.read_text(), shortened(RULES.read_text())
    assert set(re.findall(r"\[(\d+[smhd])\]|offset (\d+[smhd])", fast)) <= {
        pair for each in WINDOWS.values() for pair in ((each, ""), ("", each))
    }
    assert set(re.findall(r"^ *for: (\S+)$", fast, re.MULTILINE)) == {FOR}
    assert len(re.findall(r"^ *for: ", slow, re.MULTILINE)) == len(re.findall(r"^ *for: ", fast, re.MULTILINE))
    thresholds = re.compile(r"(?:[<>]|==) [\d.]+ *$", re.MULTILINE)
    assert thresholds.findall(slow) == thresholds.findall(fast)


def test_every_alert_has_its_fault() -> None:
    assert list(BY) == [name for name, rule in alerts().items() if LISTENER not in rule["expr"]]


def test_nothing_fires_on_a_healthy_service(record: Record) -> None:
    assert {name for name, job in record.at_first if job == "fetal-planes"} <= TIMING
    assert {name for name, _ in record.at_first} <= TIMING | {"NoTraffic", "ModelsDiffer"}


@pytest.mark.parametrize("name", BY)
def test_each_alert_fires_because_of_its_fault(record: Record, name: str) -> None:
    assert (name, BY[name]) in record.fired
    assert record.summaries[name]
    assert not re.search(r"<no value>|<error|%!", record.summaries[name])


@pytest.mark.parametrize("query", [query for _, query in PANELS], ids=[title for title, _ in PANELS])
def test_every_query_of_the_dashboard_returns_data(record: Record, query: str) -> None:
    values = [float(each["value"][1]) for each in record.shown[query]]
    assert any(math.isfinite(value) for value in values)
