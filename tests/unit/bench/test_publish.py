"""No measurement is lost: a wrong target is refused before the measurement, and the result is always printed."""

import os
import re
import sys
from pathlib import Path

import pytest

from bench import sizing
from bench.publish import Section, make_parser, parse
from tests.support.paths import ROOT

PAGE = "before\n<!-- name -->\nold\n<!-- end of name -->\nafter\n"


def test_the_text_replaces_the_content_of_the_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    Section("name", page).publish("new\n")
    assert page.read_text() == "before\n<!-- name -->\n\nnew\n\n<!-- end of name -->\nafter\n"
    assert capsys.readouterr().out == "new\n"


def test_a_page_that_does_not_exist_is_created(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    section = Section("name", page)
    section.publish("first\n")
    section.publish("second\n")
    assert page.read_text() == "<!-- name -->\n\nsecond\n\n<!-- end of name -->\n"


@pytest.mark.parametrize("target", ["no-marks.md", "no-folder/page.md"])
def test_a_wrong_target_ends_the_command_before_the_measurement(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no-marks.md").write_text("a page without marks\n")
    monkeypatch.setattr(sys, "argv", ["bench", "--write", str(tmp_path / target)])
    with pytest.raises(SystemExit) as ended:
        parse(make_parser("A measurement."), "name")
    assert ended.value.code == 2
    assert target.rpartition("/")[2] in capsys.readouterr().err


def test_the_result_is_printed_where_the_page_is_gone_by_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    section = Section("name", page)
    page.write_text("the marks are gone")
    with pytest.raises(ValueError, match="has no marks"):
        section.publish("twelve minutes of measurement")
    assert capsys.readouterr().out == "twelve minutes of measurement"


def test_a_measurement_writes_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(sizing, "measure", lambda options: [f"| {options.seconds:g} s |\n"])
    monkeypatch.setattr(sys, "argv", ["sizing", "--write", str(page), "--seconds", "3"])
    sizing.main()
    assert "| 3 s |\n\n<!-- end of sizing -->" in page.read_text()
    assert f"{len(os.sched_getaffinity(0))} cores" in capsys.readouterr().out


def test_every_page_that_make_writes_to_has_the_marks() -> None:
    """The check that each benchmark makes at its start passes for the command lines of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^(\w+) := (\S+)$", makefile, re.MULTILINE))
    commands = re.findall(r"-m bench\.(\w+).* --write \$\((\w+)\)", makefile)
    assert len(commands) == 15
    for module, variable in commands:
        page = ROOT / variables[variable]
        Section(module.replace("_", "-"), page)
        assert page.is_file()
