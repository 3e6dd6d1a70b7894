"""Open a model package. A package whose contents differ from its manifest by one bit is refused."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from service.inference.self_contained import NotSelfContained, check_self_contained
from service.schemas.manifest import FORMAT, Manifest, Precision, SubPlanes

Providers: TypeAlias = Mapping[str, Mapping[str, str]]
"""Execution providers of ONNX Runtime in the order of their precedence, each with its options."""

MANIFEST, CLASSIFIER, EXPLAINER = "model.json", "classifier.onnx", "explainer.onnx"
MAX_MANIFEST_BYTES, MAX_FILE_BYTES = 4 * 2**20, 512 * 2**20


class _Format(BaseModel):
    format: int


class PackageError(Exception):
    """A model package that must not be served; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Int8Graphs:
    """The quantized classifier of a package, and its sub-plane head, in ONNX's serialized form."""

    classifier: bytes
    sub_planes: bytes | None = None


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A verified package, read into memory: the bytes that were hashed are the bytes that run.

    `load_package` returns it in float32; `at` gives it in another precision.
    """

    manifest: Manifest
    sha256: str  # of `model.json`, which holds the hash of every other file: it identifies the whole package
    classifier: bytes  # the graphs are in ONNX's serialized form
    explainer: bytes
    sub_planes: bytes | None = None  # None where the package has no sub-plane head
    precision: Precision = "float32"  # of manifest and graphs
    int8: Int8Graphs | None = None  # None where the package has none, and after `at`
    providers: Providers = field(default_factory=dict)  # that compute the classifier; none stands for the CPU's

    @property
    def identity(self) -> str:
        """The hash and, unless it is float32, the precision: what decides the answers to all inputs."""
        return self.sha256 if self.precision == "float32" else f"{self.sha256} {self.precision}"

    def at(self, precision: Precision) -> "ModelPackage":
        """Return the package with the graphs and the constants of one precision, without those of the other.

        Raises PackageError where the package does not have the precision.
        """
        if precision == self.precision:
            return replace(self, int8=None)
        if precision == "float32" or self.int8 is None:
            raise PackageError(f"the model package has no {precision} classifier")
        manifest, graphs = self.manifest.at(precision), self.int8
        return replace(
            self,
            manifest=manifest,
            classifier=graphs.classifier,
            sub_planes=graphs.sub_planes,
            precision=precision,
            int8=None,
        )

    def on(self, providers: Providers) -> "ModelPackage":
        """Return the package with the classifier computed by other providers."""
        return replace(self, providers=providers)

    def without_graphs(self) -> "ModelPackage":
        """Return the package without its graphs, whose bytes nothing needs once sessions have opened them."""
        return replace(self, classifier=b"", explainer=b"", sub_planes=None)


def load_package(folder: Path) -> ModelPackage:
    """Read a model package and check each of its files against the manifest. Other files are not read.

    Raises
    ------
    PackageError
        The folder is not a package of a supported format; a file is missing, is not a regular file of the folder, or
        differs from its sha256; a graph has external data.
    """
    written = _read(folder, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        found_format = _Format.model_validate_json(written).format  # first: another format has other fields
        if found_format != FORMAT:
            raise PackageError(
                f"{folder} has format {found_format}; this service reads {FORMAT}. "
                "Build the package again with `fetal-planes-build package`"
            )
        manifest = Manifest.model_validate_json(written)
    except ValidationError as error:
        raise PackageError(f"{folder / MANIFEST} is not a manifest: {error}") from error
    contents: dict[str, bytes] = {}
    for name, sha256 in manifest.files.items():
        contents[name] = _read(folder, name, MAX_FILE_BYTES)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != sha256.lower():
            raise PackageError(f"{folder / name} differs from its manifest: sha256 {found}, expected {sha256}")
    graphs = [CLASSIFIER, EXPLAINER, *_head(manifest.sub_planes)]
    quantized = [manifest.int8.file, *_head(manifest.int8.sub_planes)] if manifest.int8 else []
    for name in (*graphs, *quantized):
        if name not in contents:
            raise PackageError(f"{folder / MANIFEST} does not list {name}")
        try:
            check_self_contained(contents[name])
        except NotSelfContained as error:
            raise PackageError(f"{folder / name} is refused: {error}") from error
    return ModelPackage(
        manifest,
        hashlib.sha256(written).hexdigest(),
        contents[CLASSIFIER],
        contents[EXPLAINER],
        contents[manifest.sub_planes.file] if manifest.sub_planes else None,
        int8=Int8Graphs(*(contents[name] for name in quantized)) if quantized else None,
    )


def _head(sub_planes: SubPlanes | None) -> list[str]:
    return [sub_planes.file] if sub_planes else []


def _read(folder: Path, name: str, max_bytes: int) -> bytes:
    """Return a file of the folder without waiting: a pipe would wait for a writer, a device might never end."""
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise PackageError(f"{folder / MANIFEST} lists {name!r}, which is not a file of the folder itself")
    try:
        # Links inside the folder are common: Kubernetes mounts a ConfigMap with them.
        path = Path(os.path.realpath(folder / name, strict=True))
        if not path.is_relative_to(folder.resolve()):
            raise PackageError(f"{folder / name} is a link to a file outside the folder")
        if not stat.S_ISREG(path.lstat().st_mode):  # opening a device can already have an effect
            raise PackageError(f"{folder / name} is not a regular file")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # replaced in between
                raise PackageError(f"{folder / name} is not a regular file")
            contents = file.read(max_bytes + 1)
    except OSError as error:
        raise PackageError(f"{folder / name} cannot be read: {error.strerror}") from error
    if len(contents) > max_bytes:
        raise PackageError(f"{folder / name} is larger than {max_bytes // 2**20} MiB")
    return contents
