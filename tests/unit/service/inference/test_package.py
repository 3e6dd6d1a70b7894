import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from service.inference.package import PackageError, load_package
from tests.support.hostile_packages import write_changed
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


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/b", "a\\b", "..", ".", "a\0b", ""])
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


def test_external_data_is_refused_with_right_hashes(tmp_path: Path) -> None:
    def point_outside(model: onnx.ModelProto) -> None:
        kernels = model.graph.initializer[0]
        kernels.ClearField("raw_data")
        kernels.data_location = TensorProto.EXTERNAL
        kernels.external_data.add(key="location", value="weights.bin")

    folder = write_changed(tmp_path / "package", point_outside)
    with pytest.raises(PackageError, match=r"classifier\.onnx is refused: .* external data"):
        load_package(folder)


@pytest.mark.parametrize("name", ["classifier.onnx", "MODEL_CARD.md", "model.json"])
def test_a_pipe_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(PackageError, match="not a regular file"):
        load_package(folder)


def test_a_socket_and_a_folder_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "classifier.onnx").unlink()
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("classifier.onnx")
        with pytest.raises(PackageError, match="not a regular file"):
            load_package(folder)
    (folder / "classifier.onnx").unlink()
    (folder / "classifier.onnx").mkdir()
    with pytest.raises(PackageError, match="not a regular file"):
        load_package(folder)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "/proc/self/environ"])
def test_a_link_to_a_device_is_refused(folder: Path, target: str) -> None:
    (folder / "MODEL_CARD.md").unlink()
    (folder / "MODEL_CARD.md").symlink_to(target)
    with pytest.raises(PackageError, match="a link to a file outside the folder"):
        load_package(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "classifier.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "classifier.onnx").symlink_to("../elsewhere.onnx")
    with pytest.raises(PackageError, match="a link to a file outside the folder"):
        load_package(folder)


def test_links_inside_the_folder_work_as_kubernetes_makes_them(folder: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    folder.rename(mounted / "..2026_11_27")
    (mounted / "..data").symlink_to("..2026_11_27")
    for path in (mounted / "..2026_11_27").iterdir():
        (mounted / path.name).symlink_to(f"..data/{path.name}")
    (tmp_path / "current").symlink_to("mounted")
    assert load_package(tmp_path / "current").manifest.name == "phantom"


def test_a_link_to_itself_is_refused(folder: Path) -> None:
    (folder / "MODEL_CARD.md").unlink()
    (folder / "MODEL_CARD.md").symlink_to("MODEL_CARD.md")
    with pytest.raises(PackageError, match="cannot be read"):
        load_package(folder)


def test_a_huge_file_is_refused_unread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inference.package.MAX_FILE_BYTES", 2**20)
    with (folder / "classifier.onnx").open("r+b") as file:
        file.truncate(2**40)  # a sparse file, which takes no space
    with pytest.raises(PackageError, match="larger than 1 MiB"):
        load_package(folder)


def test_files_that_are_not_listed_are_not_read(folder: Path) -> None:
    os.mkfifo(folder / "unlisted")
    (folder / "dangling").symlink_to("nowhere")
    assert load_package(folder).manifest.name == "phantom"
