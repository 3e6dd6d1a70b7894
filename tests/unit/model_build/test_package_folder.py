"""A package is never overwritten without being asked, and nothing else ever is."""

from pathlib import Path

import pytest

from model_build.package_folder import check_target, new_package
from service.inference.package import PackageError


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.json").write_text("old")
    return folder


def test_a_package_is_replaced_on_request_only(package: Path) -> None:
    with pytest.raises(PackageError, match="holds a model package: name another folder, or replace it with --replace"):
        check_target(package, replace=False)
    check_target(package, replace=True)
    with new_package(package) as draft:
        (draft / "model.json").write_text("new")
    assert (package / "model.json").read_text() == "new"
    assert list(package.parent.iterdir()) == [package]


def test_other_folders_and_files_are_never_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data" / "heart"
    data.mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for path in (data.parent, tmp_path / "file"):
        with pytest.raises(PackageError, match="exists and is not a model package"):
            check_target(path, replace=True)
    check_target(data, replace=False)  # empty
    check_target(tmp_path / "absent", replace=False)


def test_a_failed_build_leaves_the_old_package_and_no_draft(package: Path) -> None:
    (package.parent / "package.new").mkdir()  # a user's folder
    with pytest.raises(FileNotFoundError), new_package(package) as draft:
        (draft / "no such folder" / "model.json").write_text("new")
    assert (package / "model.json").read_text() == "old"
    assert {path.name for path in package.parent.iterdir()} == {"package", "package.new"}
