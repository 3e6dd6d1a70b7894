"""Chooses the media type of a reply from the header `Accept`."""

from collections.abc import Sequence

JSON, NDJSON = "application/json", "application/x-ndjson"
NO_STORE = {"Cache-Control": "no-store"}  # answers are about patients
NEGOTIATED = NO_STORE | {"Vary": "Accept"}
"""Headers of an answer whose media type the client chose."""

_MAX_ACCEPT = 1_024  # characters that are read; browsers send some two hundred


def choose_media_type(accept: str | None, offers: Sequence[str]) -> str:
    """Return the offer that the client prefers: highest `q`, then most specific range, then earliest offer.

    Without an acceptable offer, return the first: RFC 9110, section 12.5.1, allows a server to disregard the header,
    and an answer helps the client more than a refusal.
    """
    ranges = [_parse(part) for part in (accept or "*/*")[:_MAX_ACCEPT].split(",")]

    def preference(offer: str) -> tuple[float, int]:
        specificities = {"*/*": 1, offer.split("/")[0] + "/*": 2, offer: 3}
        specificity, quality = max((specificities.get(range_, 0), quality) for range_, quality in ranges)
        return (quality, specificity) if specificity and quality else (0.0, 0)

    return max(offers, key=preference)  # the earliest of equals


def _parse(part: str) -> tuple[str, float]:
    range_, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return range_, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return range_, 0.0
