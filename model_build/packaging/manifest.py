"""The folder of a model package as it is written."""

import hashlib
from pathlib import Path

from service.inference.package import MANIFEST
from service.schemas.manifest import Manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `model.json` with the hash of every other file of the folder."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    sealed = manifest.model_copy(update={"files": files})
    unused = {"sub_planes"} if sealed.sub_planes is None else None  # services that know of none read it still
    (folder / MANIFEST).write_text(sealed.model_dump_json(indent=2, exclude=unused) + "\n", "utf-8")
