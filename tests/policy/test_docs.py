"""The documentation says what the code does: commands exist, links lead somewhere, tables are the code's own."""

import importlib
import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from service import errors
from service.app import create_app
from service.settings import SHIPPED_MODEL, Settings
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
ELSEWHERE = {"curl", "docker", "kubectl", "python3"}  # what the pages take as present


def shell_commands(page: Path) -> list[list[str]]:
    """Every simple command of the page's `sh` blocks, as words."""
    commands = []
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next((i for i, word in enumerate(words) if word in {"&&", "|", ";"}), len(words))
                commands.append(words[:end])
                words = words[end + 1 :]
    return [command for command in commands if command]


COMMANDS = [(page.name, command) for page in PAGES for command in shell_commands(page)]


def readme_line(ending: str) -> str:
    (line,) = re.findall(rf"^python3 -m venv .*{re.escape(ending)}$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return str(line)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_every_command_in_the_docs_is_real(page: str, command: list[str]) -> None:
    words = [word for word in command if not re.fullmatch(r"[A-Z_]+=\S*", word)]  # variables set for the command
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in words[1:])
    elif program in SCRIPTS:
        assert subcommand_exists(program, words[1])
    else:
        assert program in ELSEWHERE | {"pip", "pytest"}
    for before, word in itertools.pairwise(words):
        if before == "-r":
            assert (ROOT / word).is_file()


def subcommand_exists(script: str, verb: str) -> bool:
    module, function = SCRIPTS[script].split(":")
    command = getattr(importlib.import_module(module), function)
    with pytest.raises(SystemExit) as ended:
        command([verb] if verb == "--help" else [verb, "--help"])
    return ended.value.code == 0


def test_make_does_what_the_readme_says() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("$(VENV)", ".venv")
    recipes = set(re.findall(r"^\t(.+)$", makefile, re.MULTILINE))
    for line in (readme_line("fetal-planes serve"), readme_line("pytest")):
        assert set(line.split(" && ")) <= recipes


def test_ci_runs_the_command_of_the_readme() -> None:
    pattern = r"command=\$\(grep -m1 '(.*)' README\.md\)"
    found = re.search(pattern, (ROOT / ".ci" / "run").read_text())
    assert found
    first = next(line for line in (ROOT / "README.md").read_text().splitlines() if re.search(found[1], line))
    assert first == readme_line("pytest")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert not [page for page in PAGES if page.name != "README.md" and f"{page.name})" not in index]


def test_every_refusal_is_documented() -> None:
    rows = [f"| {row.status:d} | `{row.code}` | {row.meaning} |" for row in errors.TABLE.values()]
    page = (ROOT / "docs" / "reference" / "errors.md").read_text().splitlines()
    assert rows
    assert [line for line in page if re.match(r"\| \d{3} ", line)] == rows


def test_every_setting_is_documented() -> None:
    prefix = Settings.model_config["env_prefix"]
    shown = {None: "", SHIPPED_MODEL: f"`{SHIPPED_MODEL.relative_to(ROOT).as_posix()}`"}
    rows = [
        f"| `{prefix}{name.upper()}` | {shown.get(field.default, f'`{field.default}`')} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    page = (ROOT / "docs" / "reference" / "settings.md").read_text().splitlines()
    assert rows
    assert [line for line in page if line.startswith(f"| `{prefix}")] == rows


def test_the_readme_lists_every_operation() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    operations = [f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods]
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert operations
    assert not [operation for operation in operations if not any(operation in row for row in rows)]
