"""Name operators: by a pseudonym, or, where an operator of the service asks for it, by the names of a list."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from service.audit.data.exams import UNKNOWN, Exams
from service.jobs import JobError
from service.reports.audit_columns import operator_hash
from service.site_secret import SiteSecret

_SHORTEST = 8  # characters of a pseudonym: the start of the keyed hash


class Operators:
    """The names of operators by their keyed hashes; without any, every operator has a pseudonym."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        self._names = names or {}

    @classmethod
    def read(cls, path: Path, secret: SiteSecret) -> "Operators":
        """Read a list of names, one per line as in the DICOM attribute Operators' Name. Raises `JobError`.

        Only who has the secret can tell which hash belongs to a name.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
        names = [line.strip() for line in lines if line.strip()]
        return cls({operator_hash(secret, name): name for name in names})

    def name(self, exams: Exams) -> None:
        """Replace the hashes of operators by names or pseudonyms."""
        column = exams.groups["operator"]
        labels = self._labels(sorted({each for each in column if each != UNKNOWN}))
        column[:] = np.array([labels.get(each, each) for each in column], dtype=object)

    def _labels(self, hashes: Iterable[str]) -> dict[str, str]:
        known = list(hashes)
        length = _SHORTEST
        while len({each[:length] for each in known}) < len(known):
            length += 1
        return {each: self._names.get(each, f"operator {each[:length]}") for each in known}
