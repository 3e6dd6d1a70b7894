"""The page, the CSV, Parquet and JSON of an audit."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from service.jobs.rows import ResultRow
from tests.support.audit_rows import Audit, exam, write_lines
from tests.support.paths import ROOT

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """Counts tags and collects attributes and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def year(tmp_path: Path) -> Path:
    """Two hundred exams of several sites and months; one operator leaves out the femur."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(240):
        operator = f"{number % 6}" * 64
        found = exam(
            number, site=("north", EVIL)[number % 2], operator=operator, month=f"2026-{number // 40 + 1:02d}",
            machine=f"=HYPERLINK({number % 4})", ood_score=float(random.normal()),
        )  # fmt: skip
        rows += [each for each in found if number % 6 or "/2.png" not in each.file]
    return write_lines(tmp_path / "frames.jsonl", rows)


def test_the_page_needs_nothing_else(year: Path, audit: Audit) -> None:
    page = (audit(year, protocol="fetal-biometry")["out"] / "audit.html").read_text()
    found = Tags(page)
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert not re.search(r"https?:|url\(|@import", page)
    assert any(
        value and value.startswith("default-src 'none'") for name, value in found.attributes if name == "content"
    )
    assert "&lt;script&gt;" in page
    assert "Research use only. Not a medical device." in page


def test_charts_and_tables_are_accessible(year: Path, audit: Audit) -> None:
    page = (audit(year, protocol="fetal-biometry")["out"] / "audit.html").read_text()
    charts = re.findall(r'<svg role="img" aria-labelledby="([^"]+)".*?</svg>', page, re.DOTALL)
    assert len(charts) >= 5
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(name in ids for pair in charts for name in pair.split())
    tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    assert all("<caption>" in each and 'scope="col"' in each and 'scope="row"' in each for each in tables)
    assert '<html lang="en">' in page


def test_findings_and_their_limits(year: Path, audit: Audit) -> None:
    result = audit(year, protocol="fetal-biometry")
    groups = {(each["dimension"], each["group"]) for each in result["tables"]["findings"]}
    assert groups == {("operator", "operator 00000000")}
    for each in result["tables"]["operators"]:
        assert each["low"] <= each["value"] <= each["high"]
        assert each["finding"] == (each["group"] == "operator 00000000" and each["item"] in (None, "Fetal femur")
                                   and each["measure"] in ("complete", "item"))  # fmt: skip


def test_csv_and_parquet_hold_the_same(year: Path, audit: Audit) -> None:
    result = audit(year)
    folder = result["out"] / "tables"
    names = {path.stem for path in folder.iterdir()}
    assert names == {*result["tables"], "exams"}
    for name in names:
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        table = parquet.read_table(folder / f"{name}.parquet")
        assert rows[0] == table.column_names
        assert len(rows) - 1 == table.num_rows
        if name in result["tables"]:
            assert table.to_pylist() == result["tables"][name]
    cells = (folder / "machines.csv").read_text()
    assert "'=HYPERLINK" in cells  # no spreadsheet may evaluate it
    assert ",=HYPERLINK" not in cells


def test_small_groups_are_in_no_output(tmp_path: Path, exams: list[ResultRow], audit: Audit) -> None:
    small = [each for number in range(100, 104) for each in exam(number, site="tiny clinic", operator="d" * 64)]
    more = [each for number in range(200, 230) for each in exam(number, site="site 3")]
    result = audit(write_lines(tmp_path / "frames.jsonl", [*exams, *small, *more]), min_group=10)
    assert result["code"] == 0
    assert [each["group"] for each in result["tables"]["sites"] if each["measure"] == "frames"] == ["site 1", "site 3"]
    for path in result["out"].rglob("*.*"):
        content = path.read_bytes()
        assert b"tiny clinic" not in content
        assert b"site 0" not in content  # hidden, too: else the tiny one is the difference with the sum
        assert b"dddddddd" not in content
    assert any(note.startswith("2 of 4 groups by site are hidden") for note in result["notes"])


def test_the_table_of_exams_has_no_groups(year: Path, audit: Audit) -> None:
    columns = parquet.read_table(audit(year)["out"] / "tables" / "exams.parquet").column_names
    assert not {"site", "machine", "operator", "month"} & set(columns)


def test_a_second_audit_replaces_the_first(year: Path, audit: Audit) -> None:
    first = audit(year)
    second = audit(year)
    assert first["tables"] == second["tables"]
    assert {path.name for path in first["out"].iterdir()} == {"audit.html", "audit.json", "tables"}


def test_several_protocols(year: Path, tmp_path: Path, audit: Audit) -> None:
    from service import cli

    out = tmp_path / "several"
    given = ["--protocol", "cervix", "--protocol", "fetal-biometry"]
    assert cli.main(["audit", str(year), str(out), *given]) == 0
    assert {"items-cervix.csv", "items-fetal-biometry.csv"} <= {path.name for path in (out / "tables").iterdir()}


def test_an_unknown_protocol(year: Path, audit: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(year, protocol="elbow")["code"] == 1
    assert "no-such-protocol" in capsys.readouterr().out


def test_every_column_is_documented(year: Path, tmp_path: Path, audit: Audit) -> None:
    corrections = tmp_path / "corrections.csv"
    lines = [f"{number},{number * 100:064x},0,fetal_abdomen,accepted" for number in range(240)]
    corrections.write_text("\n".join(["id,digest,frame,answer_plane,verdict", *lines]))
    page = (ROOT / "docs" / "reference" / "audit.md").read_text()
    sections = {
        name.strip(): re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
        for title, text in re.findall(r"^## ([^\n]+)$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
        for name in title.split(",")
    }
    result = audit(year, corrections, protocol="fetal-biometry")
    named = {name.replace("items-fetal-biometry", "items-PROTOCOL"): rows for name, rows in result["tables"].items()}
    assert {*named, "exams"} == set(sections)
    for name in set(named) - {"confusion", "findings"}:
        assert list(named[name][0]) == sections[name], name
    assert list(named["findings"][0]) == sections["findings"]
    exams = parquet.read_schema(result["out"] / "tables" / "exams.parquet").names
    assert exams[: len(sections["exams"]) - 2] == sections["exams"][:-2]
