"""Sources of a small audit, and the command."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import cli
from service.jobs.rows import ResultRow
from tests.support.audit_rows import Audit, exam


@pytest.fixture
def exams() -> list[ResultRow]:
    """Rows of thirty complete exams of two sites."""
    return [each for number in range(30) for each in exam(number, site=f"site {number % 2}")]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Run the command; return the JSON, or the exit code as `code` if it fails."""

    def run(*sources: object, **options: object) -> dict[str, Any]:
        out = tmp_path / "audit"
        given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        code = cli.main(["audit", *map(str, sources), str(out), *given])
        result: dict[str, Any] = json.loads((out / "audit.json").read_text()) if code == 0 else {}
        return result | {"code": code, "out": out}

    return run
