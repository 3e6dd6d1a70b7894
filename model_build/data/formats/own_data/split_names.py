"""The names that people give the sides of a split, as folders or as values of a column."""

import re
import unicodedata
from functools import cache

from model_build.data.records import SplitName

_SIDES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_WORDS = "|".join(_SIDES)
_SIDE = re.compile(rf"({_WORDS})[\W_]*(data|frames?|images?|imgs?|set|dataset|split)?")
# `train_1`, `val2017`, `images-test`: a person must say which side that is.
_LIKE = re.compile(
    rf"[\W\d_]*({_WORDS}|trn|tst|eval|evaluation|hold[\W_]?out)([\W\d_].*)?|.*[\W_]({_WORDS})[\W_]*(set)?[\W\d_]*"
)

SPLIT_NAMES = "train, val or test"


@cache
def split_of(name: str) -> SplitName | None:
    """Return the side that a name states, in any case: `Train`, `VAL`, `validation set`; None for other names."""
    found = _SIDE.fullmatch(_folded(name))
    return _SIDES[found[1]] if found else None


@cache
def is_like_split(name: str) -> bool:
    """Return whether a name is one of a split or close to one, such as `train_1`, so that it is hardly a class."""
    folded = _folded(name)
    return _SIDE.fullmatch(folded) is not None or _LIKE.fullmatch(folded) is not None


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
