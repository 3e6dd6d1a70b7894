"""Download one large file: resume after an interruption, and keep it only if its size and MD5 match.

pooch (1.9.0) cannot resume, which 2 GB over a slow connection need.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import httpx2
from tqdm import tqdm

_ATTEMPTS = 5
_TIMEOUT = httpx2.Timeout(60, connect=20)


class DownloadError(Exception):
    """A download failed; the message says why and what to do."""


class _InterruptedError(Exception):
    """The connection ended before the file was complete."""


def download(url: str, file: Path, size: int, md5: str, *, pause: float = 2.0) -> Path:
    """Download a file; a partial download, `<name>.part`, is resumed.

    `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are respected.

    Parameters
    ----------
    size, md5
        Expected bytes, and expected MD5 as 32 hexadecimal digits.
    pause
        Seconds before the second attempt; each further attempt waits twice as long.

    Raises
    ------
    DownloadError
        The server cannot be reached, refuses, or sends another file.
    """
    if file.is_file() and file.stat().st_size == size and _md5(file) == md5:
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    for attempt in range(_ATTEMPTS):
        try:
            if not part.exists() or part.stat().st_size != size:
                _fetch_rest(url, part, size)
            break
        except (_InterruptedError, httpx2.TransportError) as error:
            if attempt == _ATTEMPTS - 1:
                raise DownloadError(_unreachable(url, error, part)) from error
            time.sleep(pause * 2**attempt)
    digest = _md5(part)
    if digest != md5:
        part.unlink()
        raise DownloadError(f"{url}: MD5 is {digest}, expected {md5}; the download was deleted. Try again")
    part.replace(file)
    return file


def _fetch_rest(url: str, part: Path, size: int) -> None:
    """Append what is missing of a partial download."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _stream(url, headers) as response:
        start = _first_byte(response, have, size, url)
        with part.open("r+b" if start else "wb") as out, _progress(part.name, start, size) as progress:
            out.seek(start)
            for chunk in response.iter_raw():  # unbuffered: an interruption loses nothing that has arrived
                if out.tell() + len(chunk) > size:
                    raise DownloadError(f"{url}: the server sends more than the expected {size} bytes")
                out.write(chunk)
                progress.update(len(chunk))
            if out.tell() < size:
                raise _InterruptedError(f"{out.tell()} of {size} bytes arrived")


def _first_byte(response: httpx2.Response, have: int, size: int, url: str) -> int:
    """Return the offset of the response's body in the file; raises DownloadError where it is not `have` or 0."""
    if response.status_code == 206:
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not content_range or int(content_range[1]) != have or content_range[2] not in (str(size), "*"):
            raise DownloadError(f"{url}: asked to resume at byte {have} of {size}, the server sends another range")
        return have
    _require_ok(response, url)
    length = response.headers.get("Content-Length")
    if length is not None and length != str(size):
        raise DownloadError(f"{url}: the server sends {length} bytes, expected {size}")
    return 0  # the server ignores ranges and sends the whole file


def _require_ok(response: httpx2.Response, url: str) -> None:
    if response.status_code != 200:
        raise DownloadError(f"{url}: the server answers {response.status_code} {response.reason_phrase}")


@contextmanager
def _stream(url: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
    identity = {"Accept-Encoding": "identity", "User-Agent": "fetal-planes-build"}
    with (
        httpx2.Client(timeout=_TIMEOUT, follow_redirects=True, headers=identity) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        yield response


def get_json(url: str) -> object:
    """Return a small JSON document.

    Raises
    ------
    DownloadError
        The server cannot be reached, refuses, or sends something that is not JSON.
    """
    try:
        with httpx2.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            response = client.get(url)
    except httpx2.TransportError as error:
        raise DownloadError(_unreachable(url, error, None)) from error
    _require_ok(response, url)
    try:
        document: object = response.json()
    except ValueError as error:
        raise DownloadError(f"{url}: the answer is not JSON; a proxy may have answered instead") from error
    return document


def _unreachable(url: str, error: Exception, part: Path | None) -> str:
    kept = f" {part} is kept; the same command resumes it." if part and part.exists() else ""
    return (
        f"{url} cannot be downloaded: {error or type(error).__name__}. Is this computer online? "
        f"Set HTTPS_PROXY to use a proxy.{kept}"
    )


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _progress(name: str, start: int, size: int) -> "tqdm[NoReturn]":
    return tqdm(desc=name, initial=start, total=size, unit="B", unit_scale=True, disable=None)
