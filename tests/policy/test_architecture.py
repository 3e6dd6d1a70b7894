"""Where a line may live and what it may import. The contracts between packages are in pyproject.toml."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.repository import PROJECT

PRODUCT = ("service", "model_build", "bench", "clients/python/fetal_planes_client")
MANY_MODULES = {"service/api/routes", "model_build/models"}  # one router per concern, one network part per file
WRAPPERS = {"model_build/evaluation/metrics.py"}  # a statistic takes any number of arrays
MAX_MODULES, MAX_FILE_LINES, MAX_FUNCTION_LINES = 10, 250, 50


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, absolute names only, as the repository writes them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_import_contract_is_kept() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_folder_holds_more_modules_than_a_reader_can_survey() -> None:
    special = {"__init__.py", "__main__.py"}
    paths = [path.relative_to(ROOT) for path in modules(*PRODUCT) if path.name not in special]
    counts = Counter(path.parent.as_posix() for path in paths)
    assert not {folder: count for folder, count in counts.items() if count > MAX_MODULES and folder not in MANY_MODULES}


def test_files_and_functions_are_short() -> None:
    long = []
    for path in modules(*PRODUCT):
        text = path.read_text()
        if text.count("\n") > MAX_FILE_LINES:
            long.append(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not long


@pytest.mark.parametrize("folder", ["tests", "bench"])
def test_no_module_imports_a_test_module(folder: str) -> None:
    """Shared helpers live in `tests/support` or next to the tests that share them, fixtures in a conftest."""
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in modules(folder)
        for name in imports(path)
        if name.startswith("tests.") and any(part.startswith(("test_", "conftest")) for part in name.split("."))
        if (ROOT / f"{name.replace('.', '/')}.py").is_file()
    }
    assert not found


def test_benchmarks_import_nothing_of_the_tests_but_support() -> None:
    found = {
        (path.name, name)
        for path in modules("bench")
        for name in imports(path)
        if name.startswith("tests.") and not name.startswith("tests.support")
    }
    assert not found


def test_no_callable_is_hidden_from_the_type_checker() -> None:
    """`Callable[..., T]` and a parameter of type `object` accept any call, and mypy then checks none."""
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules("service", "model_build", "clients/python/fetal_planes_client")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.arg)
        and node.annotation is not None
        and re.search(r"Callable\[\.\.\.|Callable(?!\[)", ast.unparse(node.annotation))
    ]
    assert not [place for place in hidden if place.partition(":")[0] not in WRAPPERS]


def test_the_picture_of_the_layers_shows_those_of_the_contracts() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text().partition("```text")[2].partition("```")[0]
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        for layer in contract.get("layers", []) if "containers" in contract else []:
            assert all(re.search(rf"\b{name.strip()}\b", picture) for name in re.split("[|:]", layer)), layer
