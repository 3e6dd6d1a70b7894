import hashlib
import hmac
import re
from pathlib import Path

import pytest

from service.site_secret import SiteSecret, SiteSecretError

LONG = "0123456789abcdef" * 2


def test_a_hash_depends_on_secret_kind_and_value() -> None:
    secret = SiteSecret(LONG.encode())
    found = secret.hash("patient", "4711")
    assert re.fullmatch("[0-9a-f]{64}", found)
    others = [
        secret.hash("study", "4711"),
        secret.hash("patient", "4712"),
        SiteSecret(b"x" * 32).hash("patient", "4711"),
    ]
    assert found not in others
    assert len(set(others)) == 3
    # By openssl: printf 'patient\0004711' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    assert found == "5ab50d029b0de65f838fcc629d9cc0a01f7d17918e131ce0d66ca94af83fbc1b"


@pytest.mark.parametrize("padded", ["4711 ", "4711\0", " 4711"])
def test_padding_of_dicom_does_not_count(padded: str) -> None:
    secret = SiteSecret(LONG.encode())
    assert secret.hash("patient", padded) == secret.hash("patient", "4711")


def test_it_is_read_from_a_file_without_white_space(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{LONG}\n")
    assert SiteSecret.read(tmp_path / "secret").hash("study", "1.2") == SiteSecret(LONG.encode()).hash("study", "1.2")
    assert LONG not in repr(SiteSecret.read(tmp_path / "secret"))


@pytest.mark.parametrize("contents", ["", "qwertz", "a" * 31 + "\n"])
def test_a_short_one_is_refused_without_being_quoted(tmp_path: Path, contents: str) -> None:
    (tmp_path / "secret").write_text(contents)
    with pytest.raises(SiteSecretError, match=r"characters") as refused:
        SiteSecret.read(tmp_path / "secret")
    assert "qwertz" not in str(refused.value)
    with pytest.raises(SiteSecretError, match="cannot be read: No such file"):
        SiteSecret.read(tmp_path / "missing")


def test_a_dictionary_without_the_secret_finds_nobody() -> None:
    secret = SiteSecret(LONG.encode())
    kept = {secret.hash("patient", f"{number:05d}") for number in range(0, 10_000, 7)}
    tried = (f"{number:05d}" for number in range(10_000))
    guesses = {digest for value in tried for digest in digests(value)}
    assert len(guesses) == 60_000
    assert not kept & guesses


def digests(value: str) -> list[str]:
    plain = [value.encode(), f"patient\0{value}".encode()]
    guessed = SiteSecret(b"0" * 32).hash("patient", value)
    return [hashlib.sha256(each).hexdigest() for each in plain] + [
        *(hmac.new(b"", each, hashlib.sha256).hexdigest() for each in plain),
        hashlib.sha3_256(value.encode()).hexdigest(),
        guessed,
    ]
