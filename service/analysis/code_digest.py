"""The digest of the code that decides an answer; caches and resumable jobs use it as their key."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_SERVICE = Path(__file__).parents[1]
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydicom", "pyjpegls")


@cache
def decision_digest() -> str:
    """Return the sha256 of the code that decodes, crops and decides, and of its libraries' versions."""
    digest = hashlib.sha256()
    for folder in ("imaging", "inference", "analysis"):
        for path in sorted((_SERVICE / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(_SERVICE).as_posix()}\0".encode() + path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
