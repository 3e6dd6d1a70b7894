"""What the HTML pages of reports share: no script, no external resource, every text escaped."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of a page, in its head and in the response header."""


def page_templates(folder: Path) -> "Environment":
    """Return the templates of a folder; they escape every text, and an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # few requests want a page

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def created_now() -> str:
    """Return the time of a page, as people read it."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
