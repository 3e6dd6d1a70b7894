"""The site's secret, and the keyed hashes that stand for identifiers of patients, studies and people."""

import hashlib
import hmac
from pathlib import Path
from typing import Literal

Identifier = Literal["study", "patient", "operator", "machine", "site", "fingerprint"]

_MIN_CHARACTERS = 32
_PADDING = " \0"  # DICOM pads values to an even length


class SiteSecretError(Exception):
    """The site's secret is unusable. The message says why and contains nothing of it."""


class SiteSecret:
    """A secret that makes hashes nobody can reverse by trying all identifiers, unless they have it.

    All parts of a site that name a patient alike have the same secret: replicas, `process`, `table`, the store.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "SiteSecret(…)"

    @classmethod
    def read(cls, path: Path) -> "SiteSecret":
        """Read a file with the secret, without white space around it. Raises `SiteSecretError`."""
        try:
            secret = path.read_bytes().strip()
        except OSError as error:
            raise SiteSecretError(f"{path} cannot be read: {error.strerror}") from None
        if len(secret) < _MIN_CHARACTERS:
            raise SiteSecretError(
                f"{path} holds {len(secret)} characters; at least {_MIN_CHARACTERS} random ones are needed"
            )
        return cls(secret)

    def hash(self, kind: Identifier, value: str) -> str:
        """Return the keyed hash of an identifier: HMAC-SHA256, as 64 hexadecimal digits.

        The same value has another hash as another kind. Padding of DICOM around the value does not count.
        """
        message = f"{kind}\0{value.strip(_PADDING)}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
