import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from service.inference.package import PackageError, load_package
from tests.support.phantom_package import Phantom, write_manifest


@pytest.fixture
def folder(phantom: Phantom, tmp_path: Path) -> Path:
    return phantom.write(tmp_path / "package")


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_valid_package_opens(folder: Path) -> None:
    package = load_package(folder)
    assert package.manifest.name == "phantom"
    assert package.classifier == (folder / "classifier.onnx").read_bytes()
    assert package.explainer == (folder / "explainer.onnx").read_bytes()
    assert package.sha256 == hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["classifier.onnx", "explainer.onnx", "MODEL_CARD.md"])
def test_one_bit_of_difference_is_refused(folder: Path, name: str) -> None:
    contents = bytearray((folder / name).read_bytes())
    contents[len(contents) // 2] ^= 1
    (folder / name).write_bytes(contents)
    with pytest.raises(PackageError, match=f"{name} differs"):
        load_package(folder)


@pytest.mark.parametrize("name", ["classifier.onnx", "explainer.onnx", "MODEL_CARD.md", "model.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PackageError, match=f"{name} cannot be read: No such file"):
        load_package(folder)


@pytest.mark.parametrize("name", ["classifier.onnx", "explainer.onnx"])
def test_an_unlisted_graph_is_refused(folder: Path, name: str) -> None:
    files = json.loads((folder / "model.json").read_text())["files"]
    rewrite(folder, files={key: value for key, value in files.items() if key != name})
    with pytest.raises(PackageError, match=f"does not list {name}"):
        load_package(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/b", ""])
def test_a_file_outside_the_folder_is_refused(folder: Path, name: str) -> None:
    files = json.loads((folder / "model.json").read_text())["files"]
    rewrite(folder, files=files | {name: "0" * 64})
    with pytest.raises(PackageError, match="not a file of the folder"):
        load_package(folder)


def test_another_format_is_refused(folder: Path) -> None:
    rewrite(folder, format=1, abstention={"min_probability": 0.5, "max_ood_score": 1.0})
    with pytest.raises(PackageError, match=r"has format 1; this service reads 2.*fetal-planes-build package"):
        load_package(folder)


@pytest.mark.parametrize("changes", [{"planes": []}, {"temperature": 0}, {"surprise": 1}, {"files": None}])
def test_an_invalid_manifest_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, **changes)
    with pytest.raises(PackageError, match="is not a manifest"):
        load_package(folder)


def test_every_plane_needs_a_limit_of_the_score(phantom: Phantom, folder: Path) -> None:
    abstention = phantom.manifest()["abstention"]
    rewrite(folder, abstention=abstention | {"max_ood_score": abstention["max_ood_score"][1:]})
    with pytest.raises(PackageError, match="max_ood_score must have 6 values, one per plane"):
        load_package(folder)


def test_a_manifest_with_two_planes_of_one_id_is_refused(phantom: Phantom, folder: Path) -> None:
    manifest = phantom.manifest()
    write_manifest(folder, manifest | {"planes": [manifest["planes"][0]] * 6})
    with pytest.raises(PackageError, match="two planes"):
        load_package(folder)
