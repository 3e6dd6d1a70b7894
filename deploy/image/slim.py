"""Remove what a server never loads from an environment: `python3 slim.py /opt/fetal-planes`, in the build stage.

Needs binutils, and nothing else. What it breaks, importing the whole service shows, which is the build's next step.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = re.compile(
    r"/(tests|test_files|testdata)$|/numpy/(f2py|distutils|_core/include|_core/lib)$"
    r"|/onnxruntime/(transformers|quantization|tools|datasets|backend)$"
)
"""Test suites, NumPy's C build tools, converters of models."""

FILES = re.compile(
    r"\.(pyi|pxd|pyx|a|h|hpp)$"
    r"|/numpy/_core/(_\w+_tests|_simd)\."
    r"|/onnxruntime/capi/libonnxruntime\.so"  # a second copy, for programs in C
    r"|/PIL/(_avif|_imagingft|_imagingcms|_imagingtk)\."  # AVIF, fonts, color profiles, windows
    r"|^/bin/(?!python|fetal-planes$)"
)
"""Types and headers, test helpers, codecs of formats that the service refuses, commands of other packages."""

WRITTEN = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33")
"""SOP classes of the objects that the service writes: Secondary Capture, Comprehensive SR."""


def main(root: Path) -> None:
    """Remove the files from the environment at `root`."""
    for path in sorted(root.rglob("*")):
        name = path.as_posix().removeprefix(root.as_posix())
        if FOLDERS.search(name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif FILES.search(name) and (path.is_symlink() or path.is_file()):
            path.unlink()
    for path in orphans(root):
        path.unlink()
    for path in list(libraries(root)):
        strip(path)
    for folder in root.rglob("highdicom/_standard"):
        narrow(folder)


def libraries(root: Path) -> Iterator[Path]:
    """Return every shared library."""
    for path in root.rglob("*.so*"):
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
            yield path


def orphans(root: Path) -> list[Path]:
    """Return libraries in a wheel's `*.libs` folder that no remaining extension links to."""
    all_of_them = list(libraries(root))
    brought = {path.name: path for path in all_of_them if path.parent.name.endswith(".libs")}
    wanted: set[str] = set()
    to_see = [path for path in all_of_them if path not in brought.values()]
    while to_see:
        fresh = needed(to_see.pop()) - wanted
        wanted |= fresh
        to_see += [brought[name] for name in fresh if name in brought]
    return [path for name, path in brought.items() if name not in wanted]


def strip(library: Path) -> None:
    """Remove the symbols that loading a library does not need, unless that makes the library unloadable.

    Wheels bundle edited libraries, and strip misplaces the segments of some of them.
    """
    stripped = library.with_name("stripped")
    run("strip", "--strip-unneeded", "-o", str(stripped), str(library))
    if is_loadable(stripped):
        stripped.replace(library)
    else:
        stripped.unlink()


def is_loadable(library: Path) -> bool:
    """Return whether every segment has the same offset within a page in the file and in memory."""
    output = run("readelf", "--wide", "--segments", str(library))
    segments = re.findall(r"^ +LOAD +(\w+) (\w+) .* (\w+)$", output, re.MULTILINE)
    return bool(segments) and all((int(at, 16) - int(to, 16)) % int(page, 16) == 0 for at, to, page in segments)


def needed(library: Path) -> set[str]:
    """Return the names of the libraries that a library links to."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "--wide", "--dynamic", str(library))))


def run(*command: str) -> str:
    """Return the output of a program of binutils."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def narrow(standard: Path) -> None:
    """Reduce highdicom's table of modules and attributes to those that the service writes or copies.

    It writes two SOP classes and copies the patient and study of any object. The full table is 22 MB of JSON, which
    highdicom reads into memory with the first report.
    """
    iods = json.loads((standard / "sop_class_iod_map.json").read_text())
    modules = json.loads((standard / "iod_module_map.json").read_text())
    kept = {module["key"] for uid in WRITTEN for module in modules[iods[uid]]}
    kept |= {module["key"] for iod in modules.values() for module in iod if module["ie"] in ("Patient", "Study")}
    table = standard / "module_attribute_map.json"
    attributes = json.loads(table.read_text())
    table.write_text(json.dumps({key: value for key, value in attributes.items() if key in kept}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
