"""The ids that connect a reply, its log lines and a caller's question: the request id and the caller's trace."""

import re
import uuid

REQUEST_ID, TRACEPARENT = "X-Request-ID", "traceparent"

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")  # no character that could break a log line or a header
# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append fields.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)


def new_request_id() -> str:
    """Return a new random id."""
    return uuid.uuid4().hex


def choose_request_id(offered: str | None) -> str:
    """Return the caller's id when it is a token of at most 64 characters, otherwise a new id."""
    return offered if offered is not None and _TOKEN.fullmatch(offered) else new_request_id()


def read_traceparent(header: str | None) -> dict[str, str]:
    """Return `trace_id` and `parent_id` for the log; an empty dict when the header is absent or invalid."""
    found = _TRACEPARENT.fullmatch(header or "")
    if found is None or not int(found["trace"], 16) or not int(found["parent"], 16):
        return {}  # all-zero ids are invalid
    if found["version"] == "00" and found["more"]:
        return {}
    return {"trace_id": found["trace"], "parent_id": found["parent"]}
