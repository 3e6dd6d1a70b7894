"""W3C Trace Context: the caller's trace that a request belongs to."""

import re

TRACEPARENT = "traceparent"

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append fields.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)


def read_traceparent(header: str | None) -> dict[str, str]:
    """Return `trace_id` and `parent_id` for the log; an empty dict when the header is absent or invalid."""
    found = _TRACEPARENT.fullmatch(header or "")
    if found is None or not int(found["trace"], 16) or not int(found["parent"], 16):
        return {}  # all-zero ids are invalid
    if found["version"] == "00" and found["more"]:
        return {}
    return {"trace_id": found["trace"], "parent_id": found["parent"]}
