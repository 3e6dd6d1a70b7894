"""Download one large file: resumed where it broke off, checked by size and md5, kept only when both are right.

pooch does the same without resuming (1.9.0), and 2 GB over a weak line need that.
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

_CHUNK = 1 << 20
_TRIES = 5
_TIMEOUT = httpx2.Timeout(60, connect=20)


class DownloadError(Exception):
    """A file could not be had; the message says why and what to do."""


class _BrokenOff(Exception):  # noqa: N818  # says what happened; it is no error until the tries are used up
    """The connection ended before the file did."""


def download(url: str, file: Path, size: int, md5: str, *, pause: float = 2.0) -> Path:
    """Download a file, or go on with what is there of it as `<name>.part`.

    Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

    Parameters
    ----------
    size, md5
        What the file must be: bytes, and 32 hexadecimal digits.
    pause
        Seconds before the second try; each further one waits twice as long.

    Raises
    ------
    DownloadError
        The server cannot be reached, refuses, or sends something else.
    """
    if file.is_file() and file.stat().st_size == size and _digest(file) == md5:
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    for attempt in range(_TRIES):
        try:
            if not part.exists() or part.stat().st_size != size:
                _fetch_rest(url, part, size)
            break
        except (_BrokenOff, httpx2.TransportError) as error:
            if attempt == _TRIES - 1:
                raise DownloadError(_unreachable(url, error, part)) from error
            time.sleep(pause * 2**attempt)
    digest = _digest(part)
    if digest != md5:
        part.unlink()
        raise DownloadError(f"{url}: md5 is {digest}, but {md5} was promised; what came was thrown away. Try again")
    part.replace(file)
    return file


def _fetch_rest(url: str, part: Path, size: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _answer(url, headers) as answer:
        start = _start(answer, have, size, url)
        with part.open("r+b" if start else "wb") as out, _bar(part.name, start, size) as bar:
            out.seek(start)
            for chunk in answer.iter_raw():  # as it comes: what waited for a full chunk would be lost with the line
                if out.tell() + len(chunk) > size:
                    raise DownloadError(f"{url}: more comes than the {size} bytes that were promised")
                out.write(chunk)
                bar.update(len(chunk))
            if out.tell() < size:
                raise _BrokenOff(f"{out.tell()} of {size} bytes came")


def _start(answer: httpx2.Response, have: int, size: int, url: str) -> int:
    """The place in the file where what the server sends belongs; raises DownloadError where that is no place of it."""
    if answer.status_code == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if not span or int(span[1]) != have or span[2] not in (str(size), "*"):
            raise DownloadError(f"{url}: asked to go on at {have} of {size} bytes, the server sends something else")
        return have
    if answer.status_code != 200:
        raise DownloadError(f"{url}: the server answers {answer.status_code} {answer.reason_phrase}")
    length = answer.headers.get("Content-Length")
    if length is not None and length != str(size):
        raise DownloadError(f"{url}: the server sends {length} bytes, {size} were promised")
    return 0  # it sends the whole, whether asked for a range or not


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
    plain = {"Accept-Encoding": "identity", "User-Agent": "fetal-planes-build"}
    with (
        httpx2.Client(timeout=_TIMEOUT, follow_redirects=True, headers=plain) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        yield answer


def get_json(url: str) -> object:
    """A small JSON document; raises DownloadError."""
    try:
        with httpx2.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            answer = client.get(url)
    except httpx2.TransportError as error:
        raise DownloadError(_unreachable(url, error, None)) from error
    if answer.status_code != 200:
        raise DownloadError(f"{url}: the server answers {answer.status_code} {answer.reason_phrase}")
    try:
        document: object = answer.json()
    except ValueError as error:
        raise DownloadError(f"{url}: the answer is not JSON; a proxy may have answered instead") from error
    return document


def _unreachable(url: str, error: Exception, part: Path | None) -> str:
    kept = f" {part} is kept, and the same command goes on with it." if part and part.exists() else ""
    return (
        f"{url} cannot be had: {error or type(error).__name__}. Is this machine online? "
        f"A proxy is taken from HTTPS_PROXY.{kept}"
    )


def _digest(file: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as lines:
        while chunk := lines.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _bar(name: str, start: int, size: int) -> "tqdm[NoReturn]":
    return tqdm(desc=name, initial=start, total=size, unit="B", unit_scale=True, disable=None)
