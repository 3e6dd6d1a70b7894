"""The request id: it connects a reply, its log lines and a caller's question."""

import re
import uuid

HEADER = "X-Request-ID"

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")  # no character that could break a log line or a header


def new_request_id() -> str:
    """Return a new random id."""
    return uuid.uuid4().hex


def choose_request_id(offered: str | None) -> str:
    """Return the caller's id when it is a token of at most 64 characters, otherwise a new id."""
    return offered if offered is not None and _TOKEN.fullmatch(offered) else new_request_id()
