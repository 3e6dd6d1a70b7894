"""Remove from an environment what a server never loads: `python3 slim.py /opt/fetal-planes`, in the build stage.

It needs binutils only. The next build step imports the whole service and so detects what it breaks.
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
    r"|/pynetdicom/(apps|benchmarks)$"
    r"|/(sqlalchemy|alembic)/testing$|/sqlalchemy/dialects/(mssql|mysql|oracle)$"
)
"""Test suites, NumPy's C build tools, model converters, programs of others, databases that the store cannot use."""

FILES = re.compile(
    r"\.(pyi|pxd|pyx|a|h|hpp)$"
    r"|/numpy/_core/(_\w+_tests|_simd)\."
    r"|/onnxruntime/capi/libonnxruntime\.so"  # a second copy, for C programs
    r"|/PIL/(_avif|_imagingft|_imagingcms|_imagingtk)\."  # AVIF, which OpenCV reads, fonts, color profiles, windows
    r"|^/bin/(?!python|fetal-planes$)"
)
"""Types and headers, test helpers, codecs that nothing uses, commands of other packages."""

WRITTEN = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33")
"""SOP classes of the objects that the service writes: Secondary Capture, Comprehensive SR."""


def main(root: Path) -> None:
    """Slim the environment at `root` in place."""
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
    """Yield every shared library."""
    for path in root.rglob("*.so*"):
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
            yield path


def orphans(root: Path) -> list[Path]:
    """Return the libraries in folders `*.libs` whose extension was removed."""
    all_of_them = list(libraries(root))
    bundled = {path.name: path for path in all_of_them if path.parent.name.endswith(".libs")}
    wanted: set[str] = set()
    to_see = [path for path in all_of_them if path not in bundled.values()]
    while to_see:
        fresh = needed(to_see.pop()) - wanted
        wanted |= fresh
        to_see += [bundled[name] for name in fresh if name in bundled]
    return [path for name, path in bundled.items() if name not in wanted]


def strip(library: Path) -> None:
    """Remove the symbols that loading does not need, if the result is loadable.

    Wheel tools edit bundled libraries, and strip misplaces the segments of some of these.
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
    """Return the output of a program."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def narrow(standard: Path) -> None:
    """Reduce highdicom's table of module attributes to the modules that the service needs.

    These are the modules of the objects that it writes, and the patient and study modules of all objects, which it
    copies from the source. The complete table is 22 MB of JSON, loaded with the first structured report.
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
