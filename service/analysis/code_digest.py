"""A digest of the code that decides an answer, for caches and resumable jobs.

A version number does not change with every change of the decoder, so a cache keyed by the version keeps frames that
today's decoder would decode otherwise. The digest changes with every edit of the files that it covers. It covers more
than it must: a changed comment costs one rebuild of a cache, a forgotten file gives wrong answers.
"""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_FOLDERS = ("execution/decoders", "imaging", "inference")
_FILES = (
    "analysis/abstention.py",
    "analysis/pipeline.py",
    "analysis/results.py",
    "jobs/rows.py",
    "reports/answers.py",
    "reports/audit_columns.py",
    "reports/element_values.py",
    "schemas/answers.py",
    "schemas/corrections.py",
    "schemas/manifest.py",
    "site_secret.py",
)
_DRAWING = "imaging/overlay.py"  # draws pictures from an answer
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydicom", "pyjpegls")


@cache
def decision_digest() -> str:
    """Return the sha256, in hex, of the sources and libraries that turn an upload into an answer.

    The sources are those of decoding, letterbox, sector search, color flow, inference, abstention and the rows of jobs.
    """
    return digest_sources(_ROOT)


def deciding_sources(root: Path = _ROOT) -> list[Path]:
    """Return the files below the package folder `root` that the digest covers, sorted."""
    found = [path for folder in _FOLDERS for path in (root / folder).rglob("*.py")]
    found += [root / name for name in _FILES]
    return sorted(path for path in found if path.relative_to(root).as_posix() != _DRAWING)


def digest_sources(root: Path) -> str:
    """Return the digest of the deciding sources below `root` and of the versions of the installed libraries."""
    digest = hashlib.sha256()
    for path in deciding_sources(root):
        contents = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(contents)}\n".encode() + contents)
    for library in _LIBRARIES:
        digest.update(f"{library} {_version(library)}\n".encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # the extra `dicom` is not installed
        return "not installed"
