"""Count the import graph of the product: `python lint/import_graph.py [FOLDER]`.

A box is a folder of modules, or a module directly in `service` or `model_build`. An edge is an import from one box into
another; a folder and the folders in it have none, because the contracts of import-linter check their siblings. A box's
layer is one more than the highest layer that it imports; boxes of a circle share a layer.
"""

import argparse
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import grimp

PACKAGES = ("service", "model_build")


def box_of(module: str, folders: frozenset[str]) -> str:
    """Return the box of a module: its folder, or the module itself directly below a package."""
    parent = module.rpartition(".")[0]
    return module if module in folders or parent in PACKAGES or not parent else parent


def count_graph(root: Path) -> dict[str, int]:
    """Return the counts of the packages below `root`, by name."""
    sys.path.insert(0, str(root))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    folders = frozenset(module for module in graph.modules if (root / module.replace(".", "/")).is_dir())
    boxes = {box_of(module, folders) for module in graph.modules} - set(PACKAGES)
    edges = {
        (importer, imported)
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if (importer := box_of(module, folders)) != (imported := box_of(other, folders))
        and {importer, imported} <= boxes
        and not f"{importer}.".startswith(f"{imported}.")
        and not f"{imported}.".startswith(f"{importer}.")
    }
    reach = {box: {imported for importer, imported in edges if importer == box} for box in boxes}
    for middle, start in product(boxes, boxes):  # Warshall's transitive closure
        if middle in reach[start]:
            reach[start] |= reach[middle]
    circles = {frozenset(other for other in reach[box] if box in reach[other]) for box in boxes if box in reach[box]}
    layers: dict[str, int] = {}
    for box in sorted(boxes, key=lambda each: len(reach[each])):
        below = [layers[other] for other in reach[box] if other in layers and box not in reach[other]]
        layers[box] = 1 + max(below, default=0)
    files = Counter(path.parent for package in PACKAGES for path in (root / package).rglob("*.py"))
    lines = sum(path.read_text().count("\n") for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {
        "boxes": len(boxes),
        "layers": max(layers.values()),
        "edges": len(edges),
        "circles between boxes": len(circles),
        "most files per folder": max(files.values()),
        "lines of product Python": lines,
    }


def main() -> None:
    """Print one line for each count."""
    parser = argparse.ArgumentParser(prog="python lint/import_graph.py", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="checkout to count (default: this one)")
    for name, number in count_graph(parser.parse_args().folder.resolve()).items():
        sys.stdout.write(f"{number:6} {name}\n")


if __name__ == "__main__":
    main()
