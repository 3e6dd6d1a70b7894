"""The W3C's Trace Context: which of the caller's traces a request belongs to."""

import re

TRACEPARENT = "traceparent"

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append fields
_FORM = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)


def read_traceparent(header: str | None) -> dict[str, str]:
    """The fields `trace_id` and `parent_id` for the log; none where the header is absent or not as the W3C has it."""
    found = _FORM.fullmatch(header or "")
    if found is None or not int(found["trace"], 16) or not int(found["parent"], 16):
        return {}
    if found["version"] == "00" and found["more"]:
        return {}
    return {"trace_id": found["trace"], "parent_id": found["parent"]}
