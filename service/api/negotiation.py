"""Chooses a reply's media type from the header `Accept`."""

from collections.abc import Sequence


def choose_media_type(accept: str | None, offers: Sequence[str]) -> str:
    """The offer that the client likes best: the highest `q`, then the more exactly named, then the earlier offer.

    Where nothing suits, the first offer: RFC 9110 (12.5.1) allows to disregard the header, and an answer is of more use
    than a refusal.
    """
    ranges = [_parse(part) for part in (accept or "*/*").split(",")]
    best, chosen = (0.0, 0), offers[0]
    for offer in offers:
        exactness, quality = max(((_match(range_, offer), q) for range_, q in ranges), default=(0, 0.0))
        if exactness and quality > 0 and (quality, exactness) > best:
            best, chosen = (quality, exactness), offer
    return chosen


def _parse(part: str) -> tuple[str, float]:
    range_, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return range_, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return range_, 0.0


def _match(range_: str, offer: str) -> int:
    """How exactly a media range names an offer: 3 by its name, 2 by its main type, 1 as anything, 0 not at all."""
    return {offer: 3, offer.split("/")[0] + "/*": 2, "*/*": 1}.get(range_, 0)
