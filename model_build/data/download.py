"""Download one large file: resume after an interruption, and keep it only if its size and MD5 match.

pooch (1.9.0) cannot resume, which 2 GB over a slow connection need.
"""

import hashlib
import time
from pathlib import Path

import httpx2
from tqdm import tqdm

_ATTEMPTS = 5
_TIMEOUT = httpx2.Timeout(60, connect=20)
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "fetal-planes-build"}


class DownloadError(Exception):
    """A download failed; the message says why and what to do."""


def download(url: str, file: Path, size: int, md5: str, *, pause: float = 2.0) -> Path:
    """Download a file of `size` bytes; a partial download, `<name>.part`, is resumed.

    `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are respected. The first retry comes after `pause` seconds, and each
    further one after twice the time. Raises DownloadError where the server cannot be reached, refuses, or sends another
    file.
    """
    if file.is_file() and file.stat().st_size == size and _md5(file) == md5:
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    for attempt in range(_ATTEMPTS):
        try:
            _fetch_rest(url, part, size)
            break
        except httpx2.TransportError as error:
            if attempt == _ATTEMPTS - 1:
                kept = f" {part} is kept; the same command resumes it." if part.exists() else ""
                raise DownloadError(_unreachable(url, error) + kept) from error
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
    if have == size:
        return
    have = have if have < size else 0  # a longer file is another one
    headers = _HEADERS | ({"Range": f"bytes={have}-"} if have else {})
    with httpx2.stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as response:
        start = _first_byte(response, have, size, url)
        bar = tqdm(desc=part.name, initial=start, total=size, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if start else "wb") as out, bar:
            for chunk in response.iter_raw():  # unbuffered: an interruption loses nothing that has arrived
                if out.tell() + len(chunk) > size:
                    raise DownloadError(f"{url}: the server sends more than the expected {size} bytes")
                out.write(chunk)
                bar.update(len(chunk))
            if out.tell() < size:
                raise httpx2.RemoteProtocolError(f"{out.tell()} of {size} bytes arrived")


def _first_byte(response: httpx2.Response, have: int, size: int, url: str) -> int:
    """Return the offset of the response's body in the file: `have`, or 0 from a server that ignores ranges."""
    start = have if response.status_code == 206 else 0
    if not start:
        _require_ok(response, url)
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise DownloadError(f"{url}: asked to resume at byte {have} of {size}, the server sends another range")
    length = response.headers.get("Content-Length")
    if length not in (None, str(size - start)):
        raise DownloadError(f"{url}: the server sends {length} bytes, expected {size - start}")
    return start


def get(url: str) -> bytes:
    """Return a small document; raises DownloadError where the server cannot be reached or refuses."""
    try:
        response = httpx2.get(url, timeout=_TIMEOUT, follow_redirects=True)
    except httpx2.TransportError as error:
        raise DownloadError(_unreachable(url, error)) from error
    _require_ok(response, url)
    return response.content


def _require_ok(response: httpx2.Response, url: str) -> None:
    if response.status_code != 200:
        raise DownloadError(f"{url}: the server answers {response.status_code} {response.reason_phrase}")


def _unreachable(url: str, error: Exception) -> str:
    reason = f"{error or type(error).__name__}. Is this computer online? Set HTTPS_PROXY to use a proxy."
    return f"{url} cannot be downloaded: {reason}"


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
