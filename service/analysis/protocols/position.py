"""Find the line of a TOML file that holds a value; the standard library's reader does not keep it."""

import re
from collections.abc import Sequence

_MULTILINE = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)
_SYNTAX = re.compile(r"\(at line (\d+), column \d+\)")

Location = Sequence[str | int]


def syntax_line(message: str, text: str) -> int:
    """Return the line in a message of `tomllib`; the last line where it says "at end of document"."""
    match = _SYNTAX.search(message)
    return int(match[1]) if match else max(1, len(text.splitlines()))


def line_of(text: str, location: Location, value: str | None = None) -> int:
    """Return the line, from 1, of the value at `location`, or of the nearest table that is found.

    Parameters
    ----------
    location
        Keys and indices, such as `("items", 2, "plane")`.
    value
        A text in the place; its line within the table is returned where it is there.
    """
    lines = _MULTILINE.sub(lambda match: "\n" * match[0].count("\n"), text).splitlines()
    start, end = 0, len(lines)
    for part, after in zip(location, [*location[1:], 0], strict=True):
        if isinstance(part, int):
            continue
        number = after if isinstance(after, int) else 0
        start, end = _narrow(lines, (start, end), part, number)
    quoted = re.compile(rf"""["']{re.escape(value)}["']""") if value is not None else None
    place = next((row for row in range(start, end) if quoted and quoted.search(lines[row])), start)
    return place + 1


def _narrow(lines: list[str], span: tuple[int, int], key: str, number: int) -> tuple[int, int]:
    """Return the lines of a table or a key within `span`; of an array of tables, of the one at `number`."""
    start, end = span
    name = re.escape(key)
    headers = [row for row in range(start, end) if re.match(rf"\s*\[\[?\s*{name}\s*\]", lines[row])]
    if headers:
        first = headers[min(number, len(headers) - 1)]
        last = next((row for row in range(first + 1, end) if re.match(r"\s*\[", lines[row])), end)
        return first, last
    keys = [row for row in range(start, end) if re.search(rf"""(^|[\s,{{.])["']?{name}["']?\s*=""", lines[row])]
    if not keys:
        return span
    following = re.compile(r"""\s*[\w"'-]+\s*=|\s*\[\[?\w""")
    return keys[0], next((row for row in range(keys[0] + 1, end) if following.match(lines[row])), end)
