"""The token that ties a reply, its log line and a caller's question together."""

import re
import uuid

HEADER = "X-Request-ID"

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")  # nothing that could break a log line or a header


def new_request_id() -> str:
    """A fresh id."""
    return uuid.uuid4().hex


def choose_request_id(offered: str | None) -> str:
    """The id that the caller offers where it is a plain token of at most 64 characters, else a fresh one."""
    return offered if offered is not None and _SANE.fullmatch(offered) else new_request_id()
