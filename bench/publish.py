"""Puts what was measured into a page of the documentation, between two marks."""

import os
import platform
import sys
import time
from pathlib import Path

import onnxruntime

from service.execution.cpu_budget import cpu_budget
from service.inference.package import load_package


def publish(text: str, name: str, page: Path | None) -> None:
    """Print a text, or write it between the marks `<!-- name -->` and `<!-- end of name -->` of a page.

    Raises
    ------
    ValueError
        The page has no such marks.
    """
    if page is None:
        sys.stdout.write(text)
        return
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, begun, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page} has no marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def conditions(model: Path) -> str:
    """When, on what, and with which model something is measured now."""
    manifest = load_package(model).manifest
    return (
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {cpu_budget().count} cores, Python {platform.python_version()}, "
        f"ONNX Runtime {onnxruntime.__version__}, model {manifest.name} {manifest.version}; load average over the last "
        f"quarter of an hour {os.getloadavg()[2]:.1f}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
