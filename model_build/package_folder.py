"""The folder of a model package: it appears whole, and replaces another package on request only."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.inference.package import MANIFEST, PackageError
from service.schemas.file_names import path_text


def check_target(package: Path, *, replace: bool) -> None:
    """Raise PackageError where a package cannot be written to a path without the loss of files."""
    if not package.exists() or (package.is_dir() and not any(package.iterdir())):
        return
    if not (package / MANIFEST).is_file():
        raise PackageError(f"{path_text(package)} exists and is not a model package: name another folder")
    if not replace:
        raise PackageError(
            f"{path_text(package)} holds a model package: name another folder, or replace it with --replace"
        )


@contextmanager
def new_package(package: Path) -> Iterator[Path]:
    """Give an empty draft folder, which becomes the package at the end, and is deleted after an error."""
    package = package.resolve()
    draft, former = (package.with_name(f".{package.name}.{name}") for name in ("draft", "former"))
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        if package.exists():
            shutil.rmtree(former, ignore_errors=True)
            package.rename(former)
        draft.rename(package)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
