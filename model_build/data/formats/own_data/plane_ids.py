"""Ids of planes, made from labels of any script."""

import hashlib
import re
import unicodedata

_MAX_ID = 48  # letters; a longer id is cut and gets a digest
# Latin letters that Unicode does not take apart into a letter and a mark.
_LATIN = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"})


def clean_label(text: str) -> str:
    """Return a label as it is compared: NFC, single spaces, no control characters."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(letter for letter in words if unicodedata.category(letter) not in ("Cc", "Cs"))


def plane_id(label: str) -> str:
    """Return the id of a label in the API: `Trans-thalamic (TT)` gives `trans_thalamic_tt`.

    It depends on the label only. Accents are dropped. Where other letters would be lost (`脑`, `мозг`), a digest of the
    label keeps the id its own: `plane_5f1c0a9e`.
    """
    folded = unicodedata.normalize("NFKC", clean_label(label)).casefold()
    letters = unicodedata.normalize("NFKD", folded).translate(_LATIN)
    # Marks, separators, punctuation and invisible characters may go; anything else that is not ASCII is lost.
    lost = any(not each.isascii() and not _may_go(each) for each in letters)
    words = re.sub(r"[^a-z0-9]+", "_", "".join(_ascii(each) for each in letters)).strip("_")
    words = re.sub(r"^(?=\d)", "plane_", words)
    if lost or not words or len(words) > _MAX_ID:
        digest = hashlib.sha256(folded.encode()).hexdigest()[:8]
        return f"{words[: _MAX_ID - len(digest) - 1].strip('_') or 'plane'}_{digest}"
    return words


def _may_go(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category[0] in "MZP" or category == "Cf"


def _ascii(letter: str) -> str:
    """Return an ASCII letter, nothing for a mark or an invisible character, a space for any other."""
    if letter.isascii():
        return letter
    return "" if unicodedata.category(letter)[0] in "MC" else " "


def is_plane_id(text: str) -> bool:
    """Return whether a text can be the id of a plane."""
    return re.fullmatch(r"[a-z][a-z0-9_]*", text) is not None
