"""A real Prometheus over real services: each alert fires by its own fault, and the dashboard has something to show.

One run of about a minute does all the faults, side by side; the tests then read what came of it.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.monitoring.faults import Ward, again_and_again
from tests.system.monitoring.rules import RULES, alerts, dashboard, need, queries
from tests.system.monitoring.watched import FOR, FRAMES, WINDOWS, Prometheus, hurried, prometheus, until

BY = {
    "ServiceDown": "fetal-planes",  # killed
    "NotReady": "faulty",  # told to end, with ten minutes to drain
    "Restarting": "strained",  # killed twice, and started again
    "ServerErrors": "faulty",  # a model that fails on some frames
    "ReloadFailed": "faulty",  # half a file in the model package
    "ModelsDiffer": "mixed",  # two replicas of two models
    "Overloaded": "strained",  # six clients where there is room for four
    "NearlyFull": "leaking",  # long uploads that are never finished
    "DeadlinesPassed": "strained",  # a machine that stalls for a second at a time
    "SlowAnswers": "strained",
    "LongQueue": "strained",
    "SlowStage": "strained",
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
}  # a busy machine may rightly raise these
PANELS = list(queries())
_CALM_S = 20  # of looking at a service that is well: since before Prometheus has found it, it is missing to the rules


@dataclass(frozen=True)
class Record:
    """What came of the run: alerts by job, the summaries that were told, and what the panels had to show."""

    at_first: set[tuple[str, str]]
    fired: set[tuple[str, str]]
    summaries: dict[str, str]
    shown: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    need("prometheus")
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        ward = Ward(folder)
        stack.callback(ward.close)
        ward.wait()
        server = stack.enter_context(prometheus(folder, ward.jobs))
        yield _run(ward, server)


def _run(ward: Ward, server: Prometheus) -> Record:
    summaries: dict[str, str] = {}
    with again_and_again(ward.ask_as_usual):
        server.wait(f'fetal_planes_ready{{job="leaking"}} offset {WINDOWS["1d"]} == 1')
        server.wait(f'increase(fetal_planes_confidence_count{{job="fetal-planes"}}[40s]) > {FRAMES["1000"]}')
        at_first = server.fired(_CALM_S)
    begun = time.monotonic()

    def fired() -> set[tuple[str, str]]:
        return server.fired(time.monotonic() - begun + 1)

    def have_fired(names: set[str]) -> bool:
        for alert in server.get("alerts")["alerts"]:
            if alert["state"] == "firing":
                summaries[alert["labels"]["alertname"]] = alert["annotations"]["summary"]
        return {(name, BY[name]) for name in names} <= fired()

    ward.leak()
    ward.break_model()
    crowd = [ward.crowd] * 4 + [ward.hurry] * 2
    with again_and_again(ward.ask_strangely, ward.misuse, ward.stall, *crowd):
        _unless_late(lambda: have_fired(set(BY) - LAST))
        shown = {query: server.ask(_filled(query)) for _, query in PANELS}
        (note,) = dashboard()["annotations"]["list"]
        server.ask(_filled(note["expr"]))
    ward.faulty.process.terminate()
    for count in (1, 2):
        ward.strained.restart()
        server.wait(f'changes(process_start_time_seconds{{job="strained"}}[10m]) >= {count}')
    ward.well.process.kill()
    _unless_late(lambda: have_fired(LAST))
    return Record(at_first, fired(), summaries, shown)


def _unless_late(true: Callable[[], bool]) -> None:
    """Wait; what has not come by then is for the tests to tell, one by one."""
    with suppress(TimeoutError):
        until(true, "alerts")


def _filled(query: str) -> str:
    """A query as Grafana would send it."""
    for name, value in {"$job": "fetal-planes", "$instance": ".*", "$__rate_interval": "12s"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def test_what_is_hurried_is_what_is_deployed_in_all_else() -> None:
    slow, fast = RULES.read_text(), hurried(RULES.read_text())
    assert set(re.findall(r"\[(\d+[smhd])\]|offset (\d+[smhd])", fast)) <= {
        pair for each in WINDOWS.values() for pair in ((each, ""), ("", each))
    }
    assert set(re.findall(r"^ *for: (\S+)$", fast, re.MULTILINE)) == {FOR}
    assert len(re.findall(r"^ *for: ", slow, re.MULTILINE)) == len(re.findall(r"^ *for: ", fast, re.MULTILINE))
    thresholds = re.compile(r"(?:[<>]|==) [\d.]+ *$", re.MULTILINE)
    assert thresholds.findall(slow) == thresholds.findall(fast)


def test_every_alert_has_its_fault() -> None:
    assert list(BY) == list(alerts())


def test_nothing_fires_on_a_service_that_is_well(record: Record) -> None:
    assert {name for name, job in record.at_first if job == "fetal-planes"} <= TIMING
    assert {name for name, _ in record.at_first} <= TIMING | {"NoTraffic", "ModelsDiffer"}


@pytest.mark.parametrize("name", BY)
def test_each_alert_fires_by_its_fault(record: Record, name: str) -> None:
    assert (name, BY[name]) in record.fired
    assert record.summaries[name]
    assert not re.search(r"<no value>|<error|%!", record.summaries[name])


@pytest.mark.parametrize("query", [query for _, query in PANELS], ids=[title for title, _ in PANELS])
def test_every_query_of_the_dashboard_returns_data(record: Record, query: str) -> None:
    values = [float(each["value"][1]) for each in record.shown[query]]
    assert any(math.isfinite(value) for value in values)
