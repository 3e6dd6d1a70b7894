"""Cells of CSV tables that spreadsheets open."""

import re
from collections.abc import Mapping

Cell = str | int | float | None

_FORMULA = re.compile(r"""[\s"']*[=+\-@\t\r]""")  # OWASP, CSV injection


def plain_cells(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the cells of a row. No spreadsheet may evaluate a text as a formula: an apostrophe goes before it."""
    return {
        name: f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for name, cell in cells.items()
    }
