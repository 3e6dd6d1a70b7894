"""API keys: the file that holds their hashes."""

import hashlib
import hmac
import re
import secrets
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64})\s+(?P<digest>[0-9a-f]{64})")


class KeyFileError(Exception):
    """A key file is unusable. The message says why and contains no key."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The accepted keys."""

    digests: dict[str, bytes]  # SHA-256 by holder; a key has 256 random bits, so a slow hash adds nothing

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Read a file of lines `name sha256`. Empty lines and lines that start with `#` are ignored.

        Raises KeyFileError where the file is unreadable or has no key, a line is malformed, or a name occurs twice.
        """
        try:
            contents = path.read_bytes()
            # Editors of Windows save a byte order mark; `>>` of its PowerShell writes UTF-16.
            encoding = "utf-16" if contents.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
            lines = [line.strip() for line in contents.decode(encoding).splitlines()]
        except OSError as error:
            raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeyFileError(f"{path} cannot be read: the bytes are not text") from None
        digests: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None or found["name"] in digests:
                raise KeyFileError(f"{path}, line {number}: expected a new name and a lower-case hexadecimal SHA-256")
            digests[found["name"]] = bytes.fromhex(found["digest"])
        if not digests:
            raise KeyFileError(f"{path} holds no key")
        return cls(digests)

    def holder(self, key: str) -> str | None:
        """Return the name of a key's holder, or None. All keys are compared, each in constant time."""
        offered = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        matches = [name for name, digest in self.digests.items() if hmac.compare_digest(digest, offered)]
        return next(iter(matches), None)


def load_keys(path: Path | None) -> KeyRing | None:
    """Return the keys of a file, or None without a file. Raises `KeyFileError`."""
    return None if path is None else KeyRing.load(path)


def new_key(name: str) -> tuple[str, str]:
    """Return a new random key, and its line for the key file."""
    key = secrets.token_urlsafe(32)
    return key, f"{name} {hashlib.sha256(key.encode()).hexdigest()}"
