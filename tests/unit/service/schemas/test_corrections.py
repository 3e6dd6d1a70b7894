"""Whatever text a correction holds: it is refused, or kept as it is by every database, in every form."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.reports.corrections_csv import corrections_csv
from service.schemas.corrections import MAX_TEXT, Correction, NewCorrection
from service.store.rows import row_of, to_correction
from tests.support.store import correction

TEXTS = st.text(st.characters(codec=None), max_size=MAX_TEXT + 2)  # with surrogates and control characters
IDS = st.none() | TEXTS | st.sampled_from(["fetal_brain", "other"])
VERDICTS = st.sampled_from(["accepted", "rejected", "supplemented", "other"])


def read(**changes: Any) -> NewCorrection | None:
    """Return what the service reads of a correction; None where it refuses it."""
    try:
        return NewCorrection.model_validate_json(json.dumps(correction(**changes)))
    except ValidationError:
        return None


@given(TEXTS)
def test_a_text_is_printable_or_refused(text: str) -> None:
    found = read(machine=text, protocol=text, study=text, patient=text)
    if found is not None:
        assert found.machine == text
        assert 1 <= len(text) <= MAX_TEXT
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
        text.encode()  # no surrogate
        assert len(text.splitlines()) == 1
    else:
        assert not (text.isascii() and text.isprintable() and 1 <= len(text) <= MAX_TEXT)


@given(VERDICTS, IDS, IDS, IDS, IDS)
def test_verdict_and_planes_fit_or_are_refused(
    verdict: str, plane: str | None, sub_plane: str | None, answer: str | None, answer_sub_plane: str | None
) -> None:
    found = read(
        verdict=verdict, plane=plane, sub_plane=sub_plane, answer={"plane": answer, "sub_plane": answer_sub_plane}
    )
    if found is None:
        return
    row = row_of(found, None, None)
    if verdict == "accepted":
        assert (row["plane"], row["sub_plane"]) == (answer, answer_sub_plane)
    elif verdict == "rejected":
        assert (row["plane"], row["sub_plane"]) == (None, None)
    else:
        assert (row["plane"], row["sub_plane"]) == (plane, sub_plane)
        assert plane is not None


@given(TEXTS, TEXTS, st.floats(0, 1))
def test_a_table_holds_what_was_sent(machine: str, version: str, probability: float) -> None:
    model = {"name": machine, "version": version, "sha256": "0" * 64}
    found = read(machine=machine, model=model, answer={"plane": "other", "probability": probability})
    if found is None:
        return
    row = row_of(found, "a" * 64, None) | {
        "id": 7,
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "who": None,
        "has_frame": False,
    }
    kept = Correction.model_validate(to_correction(row).model_dump())  # type: ignore[arg-type]
    (line,) = csv.DictReader(io.StringIO(corrections_csv([kept]), newline=""))
    assert line["machine"].removeprefix("'") == machine.removeprefix("'")
    assert line["model_version"].removeprefix("'") == version.removeprefix("'")
    assert float(line["answer_probability"]) == probability
    assert not line["machine"].lstrip(" \"'").startswith(("=", "+", "-", "@")) or line["machine"].startswith("'")
