"""The digest of the deciding code covers all of it, and changes with each of its files."""

import ast
import shutil
from pathlib import Path

import pytest

import service
from service.analysis.code_digest import deciding_sources, decision_digest, digest_sources

_ROOT = Path(service.__file__).parent
_ENTRY_POINTS = ("imaging/decode.py", "analysis/pipeline.py", "jobs/rows.py", "reports/answers.py")
# Names, messages, settings of the process, pictures; batches, exams and their items, which no cache and no job keeps.
_DECIDES_NOTHING = {
    "__init__.py",
    "analysis/batch.py",
    "analysis/batch_session.py",
    "analysis/cine.py",
    "analysis/exam/corrections.py",
    "analysis/exam/reader.py",
    "analysis/protocols/check.py",
    "analysis/text.py",
    "analysis/thumbnail.py",
    "errors.py",
    "execution/work.py",
    "imaging/overlay.py",
    "process_setup.py",
    "reports/duplicates.py",
    "schemas/batch.py",
    "schemas/exam.py",
    "schemas/problems.py",
    "schemas/protocols.py",
}


def _imported_by(source: Path) -> set[Path]:
    names = [
        node.module
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("service.")
    ]
    below = [_ROOT / Path(*name.split(".")[1:]) for name in names]
    return {path.with_suffix(".py") for path in below if path.with_suffix(".py").is_file()}


def test_it_covers_every_module_that_decides_an_answer_or_a_row() -> None:
    reached: set[Path] = set()
    waiting = {_ROOT / name for name in _ENTRY_POINTS}
    while waiting:
        source = waiting.pop()
        reached.add(source)
        waiting |= _imported_by(source) - reached
    deciding = {path for path in reached if path.relative_to(_ROOT).as_posix() not in _DECIDES_NOTHING}
    assert {_ROOT / "imaging/dicom/jpeg/lossless.py", _ROOT / "analysis/results.py"} <= deciding
    assert deciding <= set(deciding_sources())


@pytest.mark.parametrize(
    "name", ["imaging/decode.py", "imaging/dicom/jpeg/lossless.py", "inference/engine.py", "reports/answers.py"]
)
def test_it_changes_with_a_deciding_file(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "service"
    shutil.copytree(_ROOT, copy, ignore=shutil.ignore_patterns("models", "web", "__pycache__"))
    assert digest_sources(copy) == decision_digest()
    with (copy / name).open("a") as source:
        source.write("\n# changed\n")
    assert digest_sources(copy) != decision_digest()


def test_it_stays_the_same_when_a_file_changes_that_decides_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "service"
    shutil.copytree(_ROOT, copy, ignore=shutil.ignore_patterns("models", "web", "__pycache__"))
    (copy / "imaging/overlay.py").write_text("")
    assert digest_sources(copy) == decision_digest()


def test_a_new_module_of_the_decoder_is_covered(tmp_path: Path) -> None:
    copy = tmp_path / "service"
    shutil.copytree(_ROOT, copy, ignore=shutil.ignore_patterns("models", "web", "__pycache__"))
    (copy / "imaging/dicom/new_codec.py").write_text("")
    assert digest_sources(copy) != decision_digest()
