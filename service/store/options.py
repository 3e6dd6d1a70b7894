"""What an operator chooses of the store. This module imports nothing of the extra `store`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from service.errors import StoreUnavailable

_RETRY_AFTER_S = 5


class StoreError(Exception):
    """The store cannot be used as it was set. The message says why and contains no password."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The store of an operator.

    Attributes
    ----------
    url
        Of the database. It may hold a password.
    secret
        File of the site's secret.
    retention
        Age at which corrections are deleted; None keeps them.
    frames, frames_bytes
        Folder of kept frames, and its quota; without a folder no frame is kept.
    """

    url: str
    secret: Path | None
    retention: timedelta | None = None
    frames: Path | None = None
    frames_bytes: int = 0

    def __repr__(self) -> str:
        return "StoreOptions(…)"


def unavailable(detail: str) -> StoreUnavailable:
    """Return the refusal of a request while the store does not answer."""
    return StoreUnavailable(detail, headers={"Retry-After": str(_RETRY_AFTER_S)})
