"""Open a model package. A package whose contents differ from its manifest by one bit is refused."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from service.schemas.manifest import FORMAT, Manifest

MANIFEST, CLASSIFIER, EXPLAINER = "model.json", "classifier.onnx", "explainer.onnx"


class _Format(BaseModel):
    format: int


class PackageError(Exception):
    """A model package that must not be served; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A verified package, read into memory: the bytes that were hashed are the bytes that run."""

    manifest: Manifest
    sha256: str  # of `model.json`, which holds the hash of every other file: it identifies the whole package
    classifier: bytes  # the graphs are in ONNX's serialized form
    explainer: bytes
    sub_planes: bytes | None = None  # None where the package has no sub-plane head


def load_package(folder: Path) -> ModelPackage:
    """Read a model package and check each of its files against the manifest.

    Raises
    ------
    PackageError
        The folder is not a package of a supported format, a file is missing, or a file differs from its sha256.
    """
    written = _read(folder, MANIFEST)
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
        contents[name] = _read(folder, name)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != sha256.lower():
            raise PackageError(f"{folder / name} differs from its manifest: sha256 {found}, expected {sha256}")
    head = manifest.sub_planes
    needed = [CLASSIFIER, EXPLAINER, *([head.file] if head else [])]
    for name in needed:
        if name not in contents:
            raise PackageError(f"{folder / MANIFEST} does not list {name}")
    return ModelPackage(manifest, hashlib.sha256(written).hexdigest(), *(contents[name] for name in needed))


def _read(folder: Path, name: str) -> bytes:
    if not name or Path(name).name != name:
        raise PackageError(f"{folder / MANIFEST} lists {name!r}, which is not a file of the folder itself")
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise PackageError(f"{folder / name} cannot be read: {error.strerror}") from error
