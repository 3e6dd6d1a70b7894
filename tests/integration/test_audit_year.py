"""A simulated year of 40,000 exams: every planted effect is found, nothing else, and nothing in years without any."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from service import cli
from tests.support.paths import ROOT
from tests.support.simulated_year import (
    DRIFTING_MACHINE,
    DRIFTS_FROM,
    EXAMS,
    LAZY_OPERATOR,
    LOW_SITE,
    MONTHS,
    NOTHING,
    SPIKE_MONTH,
    Planted,
    machine_name,
    operator_hash,
    site_name,
    write_year,
)

pytestmark = pytest.mark.slow

PROTOCOL = "fetal-biometry"
GIB = 2**30
# The peak of this program alone: what `getrusage` says also counts the process that started it.
PROGRAM = """
import sys, time
from pathlib import Path
from service.cli import main
assert main(sys.argv[1:]) == 0
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(time.process_time(), peak)
"""


@dataclass(frozen=True)
class Year:
    """The results of an audit, and what it took."""

    result: dict[str, Any]
    cpu_s: float
    peak_bytes: float

    def findings(self) -> set[tuple[str, str, str | None, str, str | None]]:
        names = ("dimension", "group", "month", "measure", "item")
        return {tuple(each[name] for name in names) for each in self.result["tables"]["findings"]}


@pytest.fixture(scope="module")
def year() -> Iterator[Year]:
    """The audit of a year with effects, in a process of its own."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        sources = write_year(folder / "year", seed=1, planted=Planted())
        arguments = ["audit", *sources, str(folder / "out"), "--protocol", PROTOCOL]
        command = [sys.executable, "-c", PROGRAM, *arguments]
        environment = {**os.environ, "FETAL_PLANES_WORKERS": "2"}
        done = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
        cpu_s, peak_kib = map(float, done.stdout.split()[-2:])
        result = json.loads((folder / "out" / "audit.json").read_text())
        assert [path.name for path in (folder / "out").iterdir() if path.name.startswith(".")] == []
        yield Year(result, cpu_s, peak_kib * 1024)


def test_every_planted_effect_is_found(year: Year) -> None:
    operator = f"operator {operator_hash(LAZY_OPERATOR)[:8]}"
    assert {
        ("operator", operator, None, "item", "Fetal femur"),
        ("operator", operator, None, "complete", None),
        ("site", site_name(LOW_SITE), None, "complete", None),
        ("machine", machine_name(DRIFTING_MACHINE), MONTHS[DRIFTS_FROM], "confidence", None),
        ("month", MONTHS[SPIKE_MONTH], None, "abstention", None),
    } <= year.findings()


def test_nothing_else_is_found(year: Year) -> None:
    """An effect may show in several measures, but always in its own group."""
    planted = {
        f"operator {operator_hash(LAZY_OPERATOR)[:8]}",
        site_name(LOW_SITE),
        machine_name(DRIFTING_MACHINE),
        MONTHS[SPIKE_MONTH],
    }
    assert {group for _, group, *_ in year.findings()} <= planted


def test_within_a_minute_and_a_gibibyte(year: Year) -> None:
    """Of two cores: 13 CPU seconds and 450 MB when this was written."""
    assert year.result["exams"] == EXAMS
    assert year.result["frames"] > 1_900_000
    assert year.cpu_s < 60
    assert year.peak_bytes < GIB


def test_corrections_of_the_year(year: Year) -> None:
    kappa = year.result["kappa"]
    assert 0.9 < kappa["low"] < kappa["value"] < kappa["high"] < 0.97


@pytest.mark.parametrize(
    ("seed", "exams", "variation"), [(2, EXAMS, 1.0), (3, 8000, 1.0), (4, 8000, 1.0), (5, 8000, 2.0), (6, 8000, 2.0)]
)
def test_no_false_finding_in_a_year_without_effects(
    seed: int, exams: int, variation: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sites, machines, operators and months vary naturally; also where they vary twice as much."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        sources = write_year(folder / "year", seed, replace(NOTHING, variation=variation), exams)
        assert cli.main(["audit", *sources, str(folder / "out"), "--protocol", PROTOCOL]) == 0
        assert json.loads((folder / "out" / "audit.json").read_text())["tables"]["findings"] == []
    assert "findings: 0" in capsys.readouterr().err
