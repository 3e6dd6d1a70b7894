"""Operators have pseudonyms; who has the secret and a list of names can name them."""

from pathlib import Path

import pytest

from service.reports.audit_columns import operator_hash
from service.site_secret import SiteSecret
from tests.support.audit_rows import Audit, exam, write_lines
from tests.support.store import secret_file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    secret = SiteSecret.read(secret_file(tmp_path))
    hashes = [operator_hash(secret, "Müller^Anna"), operator_hash(secret, "Dingo")]
    rows = [each for number in range(60) for each in exam(number, operator=hashes[number % 2])]
    return write_lines(tmp_path / "frames.jsonl", rows)


def names(result: dict[str, dict[str, list[dict[str, str]]]]) -> set[str]:
    return {each["group"] for each in result["tables"]["operators"]}


def test_pseudonyms_and_names(
    tmp_path: Path, source: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    roster = tmp_path / "roster.txt"
    roster.write_text("MÜLLER^ANNA^^\n\nNobody\n")
    pseudonyms = names(audit(source))
    assert all(each.startswith("operator ") and len(each) == len("operator ") + 8 for each in pseudonyms)
    assert audit(source, operators=roster)["code"] == 2
    assert "--operators needs FETAL_PLANES_STORE_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(secret_file(tmp_path)))
    named = names(audit(source, operators=roster))
    assert "MÜLLER^ANNA^^" in named
    assert len(named & pseudonyms) == 1


def test_another_secret_names_nobody(
    tmp_path: Path, source: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dictionary of all names does not reverse the hashes without the secret."""
    roster, other = tmp_path / "roster.txt", tmp_path / "other.secret"
    roster.write_text("Müller^Anna\nDingo\n")
    other.write_text("another-secret-that-is-random-enough-98765")
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(other))
    assert all(each.startswith("operator ") for each in names(audit(source, operators=roster)))
