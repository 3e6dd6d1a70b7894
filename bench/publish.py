"""Measure, print what was measured, and put it into a section of a page of the documentation."""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from service.execution.cpu_budget import cpu_budget
from service.inference.package import load_package
from service.settings import SHIPPED_MODEL


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a page between the marks `<!-- name -->` and `<!-- end of name -->`.

    Attributes
    ----------
    name
        In the marks.
    page
        A Markdown file. A page that does not exist yet is created; None prints the text only.

    Raises
    ------
    ValueError
        The page has no such marks, or its folder does not exist. A section is made before the measurement starts, so
        that a wrong path costs no measurement.
    """

    name: str
    page: Path | None = None

    def __post_init__(self) -> None:
        if self.page is not None:
            self._split(self.page)

    def publish(self, text: str) -> None:
        """Print a text and replace the content of the section. The text is printed first, whatever happens then."""
        sys.stdout.write(text)
        sys.stdout.flush()
        if self.page is not None:
            before, after = self._split(self.page)
            self.page.write_text(f"{before}\n\n{text}\n{after}")

    def _split(self, page: Path) -> tuple[str, str]:
        """Return the page up to the end of the first mark, and from the start of the second."""
        begin, end = f"<!-- {self.name} -->", f"<!-- end of {self.name} -->"
        if not page.exists():
            if not page.parent.is_dir():
                raise ValueError(f"{page} cannot be created: the folder {page.parent} does not exist")
            return begin, f"{end}\n"
        before, begun, rest = page.read_text().partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"{page} has no marks {begin} and {end}")
        return f"{before}{begin}", f"{end}{after}"


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options `--write` and `--model`, which every measurement has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the result between the marks of PAGE")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="model package (default: the one that ships)")
    return parser


def parse(parser: argparse.ArgumentParser, section: str) -> tuple[argparse.Namespace, Section]:
    """Parse the command line, and check that the result can be written; exit with a message where it cannot."""
    options = parser.parse_args()
    try:
        return options, Section(section, options.write)
    except ValueError as error:
        parser.error(str(error))


def conditions(model: Path) -> str:
    """Return the date, the machine, the versions and the model of a measurement that runs now."""
    manifest = load_package(model).manifest
    return (
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {cpu_budget().count} cores, Python {platform.python_version()}, "
        f"ONNX Runtime {onnxruntime.__version__}, model {manifest.name} {manifest.version}; load average over the last "
        f"15 minutes {os.getloadavg()[2]:.1f}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def seconds(work: Callable[[], object]) -> float:
    """Run `work` once and return the wall-clock seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_and_range(values: Sequence[float], digits: int = 3, note: str = "") -> str:
    """Format values as `median (lowest to highest note)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}{note})"
