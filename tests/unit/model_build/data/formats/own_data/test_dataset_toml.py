from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_build.data.formats.own_data.dataset_toml import read_statements
from model_build.data.records import DataError


def test_statements_are_optional_and_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert read_statements(tmp_path).source.name == tmp_path.name
    (tmp_path / "dataset.toml").write_text(
        'name = "Köpfe"\nencoding = "cp1252"\n[planes]\n"脑" = "brain"\n', "utf-8-sig"
    )
    stated = read_statements(tmp_path)
    assert (stated.source.name, stated.encoding, stated.ids) == ("Köpfe", "cp1252", {"脑": "brain"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'name = "a"\nauthor = "A"', "line 2: author is not known; use name, license, citation, encoding, planes"),
        (b"name = 3", "line 1: name must be text in quotes, not 3"),
        (b'planes = "a"', r"planes must be a table \[planes\]"),
        (b"[planes]\nheart = 3", "line 2: the id of 'heart' must be text"),
        (b'[planes]\n"left heart" = "Heart 1"', "line 2: the id 'Heart 1' must be small letters"),
        (b'name = "a"\nlicense =\n', "is not valid TOML: .*line 2"),
        (b'name = "a"\nlicense = "\xfc"', "line 2: the bytes are not UTF-8"),
    ],
)
def test_a_wrong_statement_is_refused_with_file_line_and_choices(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "dataset.toml").write_bytes(text)
    with pytest.raises(DataError, match=rf"dataset\.toml.*{message}"):
        read_statements(tmp_path)


KEYS = st.sampled_from(("name", "license", "citation", "encoding", "planes", "planes.a", "author", "[planes]", "x y"))
VALUES = st.sampled_from(
    ('"a"', "3", "true", "[]", "{}", '{ a = "b" }', "{ a = 1 }", "1979-05-27", "nan", '""', "", '"')
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYS, VALUES), max_size=4), st.sampled_from(("utf-8", "utf-16", "utf-8-sig", "latin-1")))
def test_any_toml_is_read_or_refused_by_name(tmp_path: Path, lines: list[tuple[str, str]], encoding: str) -> None:
    (tmp_path / "dataset.toml").write_text("".join(f"{key} = {value}\n" for key, value in lines), encoding)
    refusal = "dataset.toml"
    try:
        read_statements(tmp_path)
    except DataError as error:
        refusal = str(error)
    assert "dataset.toml" in refusal
