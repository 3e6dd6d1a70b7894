"""The documentation matches the code: commands parse, links resolve, and tables are the code's own."""

import argparse
import contextlib
import importlib
import itertools
import re
import shlex
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service import errors
from service.app import create_app
from service.settings import SHIPPED_MODEL, Settings
from tests.support.paths import ROOT
from tests.support.repository import PROJECT

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "clients" / "python" / "README.md", *DOCS]
SCRIPTS: dict[str, str] = PROJECT["project"]["scripts"]
OTHER_PROGRAMS = {
    "cp",
    "curl",
    "docker",
    "git",
    "kubectl",
    "ffmpeg",
    "img2dcm",
    "mkdir",
    "openapi-generator-cli",
    "openapi-python-client",
    "pip",
    "pytest",
    "python3",
    "unzip",
}  # assumed to be installed
MAKEFILE = (ROOT / "Makefile").read_text()


def shell_commands(page: Path) -> list[list[str]]:
    """Every simple command of the page's `sh` blocks, as words."""
    commands = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r">>? *\S+", "", line), comments=True)  # without redirections
            while words:
                end = next((i for i, word in enumerate(words) if word in {"&&", "|", ";"}), len(words))
                commands.append(words[:end])
                words = words[end + 1 :]
    return [command for command in commands if command]


COMMANDS = [
    pytest.param(command, id=f"{page.relative_to(ROOT)}-{shlex.join(command)[:60]}")
    for page in PAGES
    for command in shell_commands(page)
]


def readme_line(ending: str) -> str:
    (line,) = re.findall(rf"^python3 -m venv .*{re.escape(ending)}$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return str(line)


def parse(script: str, arguments: list[str]) -> argparse.Namespace:
    """Parse a whole command line as the script does, without running it."""
    parser = importlib.import_module(SCRIPTS[script].partition(":")[0]).build_parser()
    namespace = parser.parse_args(arguments)
    assert isinstance(namespace, argparse.Namespace)
    return namespace


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_docs_is_valid(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command if not re.fullmatch(r"[A-Z_]+=\S*", word)]  # variables set for the command
    if not words:
        return
    program, arguments = re.sub(r"^[\w.-]+/bin/", "", words[0]), words[1:]
    if program == "make":
        targets = [word for word in arguments if not word.startswith("-")]
        assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    elif program in SCRIPTS:
        with contextlib.suppress(SystemExit):  # `--help` and `--version` exit, and so does a mistake
            parse(program, arguments)
        assert "error:" not in capsys.readouterr().err
    else:
        assert program in OTHER_PROGRAMS
    for before, word in itertools.pairwise(words):
        if before == "-r":
            assert (ROOT / word).is_file()


@pytest.mark.parametrize("arguments", [["package", "run", "out", "--data", "data"], ["no-such-command"], ["train"]])
def test_a_command_without_a_required_option_is_invalid(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("fetal-planes-build", arguments)
    assert ended.value.code == 2


def test_make_does_what_the_readme_says() -> None:
    makefile = MAKEFILE.replace("$(BIN)", ".venv/bin").replace("$(VENV)", ".venv")
    recipes = set(re.findall(r"^\t(.+)$", makefile, re.MULTILINE))
    for line in (readme_line("fetal-planes serve"), readme_line("pytest")):
        assert set(line.split(" && ")) <= recipes


def test_ci_runs_the_command_of_the_readme() -> None:
    pattern = r"command=\$\(grep -m1 '(.*)' README\.md\)"
    found = re.search(pattern, (ROOT / ".ci" / "run").read_text())
    assert found
    first = next(line for line in (ROOT / "README.md").read_text().splitlines() if re.search(found[1], line))
    assert first == readme_line("pytest")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_page_is_in_the_index() -> None:
    index = "".join((ROOT / "docs" / name).read_text() for name in ("README.md", "adr/README.md"))
    pages = [page for page in PAGES if page.parent != ROOT and page.name != "README.md"]
    assert not [page for page in pages if f"{page.name})" not in index]


def test_every_refusal_is_documented() -> None:
    rows = [f"| {row.status:d} | `{row.code}` | {row.meaning} |" for row in errors.TABLE.values()]
    page = (ROOT / "docs" / "reference" / "errors.md").read_text().splitlines()
    assert rows
    assert [line for line in page if re.match(r"\| \d{3} ", line)] == rows


def test_every_setting_is_documented() -> None:
    prefix = Settings.model_config["env_prefix"]
    shown = {"None": "", str(SHIPPED_MODEL): f"`{SHIPPED_MODEL.relative_to(ROOT).as_posix()}`"}
    rows = [
        f"| `{prefix}{name.upper()}` | {shown.get(str(field.default), f'`{field.default}`')} | {described} |"
        for name, field in Settings.model_fields.items()
        for described in [" ".join((field.description or "").split())]
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


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs" / "how-to" / "operate.md").read_text()
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `fetal_planes_"))
    with TestClient(create_app(Settings())) as client:
        metrics = text_string_to_metric_families(client.get("/metrics").text)
        names = {f"{each.name}_total" if each.type == "counter" else each.name for each in metrics}
    own = {name for name in names if name.startswith("fetal_planes_") and not name.endswith("_created")}
    assert {"fetal_planes_ready", "fetal_planes_request_seconds", "fetal_planes_requests_total"} <= own
    assert {name for name in own if f"`{name}`" not in rows} == set()
