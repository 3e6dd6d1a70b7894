"""Credentials of a client: an explicit one wins over `.netrc`, as for the other clients of the project."""

import os
from contextlib import suppress
from netrc import NetrcParseError
from pathlib import Path

import httpx2


def find_auth(url: str, api_key: str | None) -> httpx2.Auth | None:
    """Return the credentials in the file NETRC or `~/.netrc`; None with a key, with a login in the URL, without a file.

    Without an entry for the host in the file, nothing is sent.
    """
    if api_key is not None or httpx2.URL(url).userinfo:
        return None
    with suppress(OSError, RuntimeError, UnicodeDecodeError, NetrcParseError):  # RuntimeError: the home is unknown
        return httpx2.NetRCAuth(os.environ.get("NETRC") or str(Path("~/.netrc").expanduser()))
    return None
