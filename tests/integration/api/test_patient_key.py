"""`X-Patient-Key`: frames of one patient have one key, which names nobody."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.store import secret_file, sqlite_url

SALT = "0123456789abcdef"


def key(client: TestClient, salt: str = SALT, syntax: str = dicoms.EXPLICIT, **changes: Any) -> str | None:
    content = dicoms.native([speckle()], syntax, **changes)
    reply = client.post("/classify", params={"patient_salt": salt}, content=content)
    assert reply.status_code == 200, reply.text
    found: str | None = reply.headers.get("x-patient-key")
    return found


def test_frames_of_one_patient_have_one_key(client: TestClient) -> None:
    first = key(client)
    assert first == key(client, StudyInstanceUID="1.9", PatientName="X") == key(client, syntax=dicoms.IMPLICIT)
    assert first not in (None, key(client, PatientID="other"), key(client, IssuerOfPatientID="ward"))
    assert first != key(client, salt=SALT[::-1])


def test_a_patient_id_and_its_issuer_are_not_run_together(client: TestClient) -> None:
    assert key(client, PatientID="AB", IssuerOfPatientID="C") != key(client, PatientID="A", IssuerOfPatientID="BC")


@pytest.mark.parametrize("changes", [{"PatientID": ""}, {"PatientID": "  "}, {"PatientID": None}])
def test_a_patient_who_is_not_stated_has_no_key(client: TestClient, changes: dict[str, Any]) -> None:
    assert key(client, **changes) is None


def test_no_key_without_a_salt_or_for_a_picture(client: TestClient) -> None:
    assert "x-patient-key" not in client.post("/classify", content=dicoms.native([speckle()])).headers
    reply = client.post("/classify", params={"patient_salt": SALT}, content=encode(speckle()))
    assert "x-patient-key" not in reply.headers
    refused = client.post("/classify", params={"patient_salt": "short"}, content=encode(speckle()))
    assert refused.json()["code"] == "bad-parameter"


@pytest.mark.parametrize(("stated", "expected"), [("Voluson E10", "Voluson%20E10"), ("a,\x1bb", "a%2Cb"), ("", None)])
def test_the_machine_comes_with_the_key(client: TestClient, stated: str, expected: str | None) -> None:
    content = dicoms.native([speckle()], ManufacturerModelName=stated)
    reply = client.post("/classify", params={"patient_salt": SALT}, content=content)
    assert reply.headers.get("x-machine") == expected
    assert "x-machine" not in client.post("/classify", content=content).headers


def test_identifiers_are_named_for_a_store_only(
    client: TestClient, serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    content = dicoms.native([speckle()], PatientID="P 4711", StudyInstanceUID="1.2.3")
    keeping = serve(Phantom(), store=sqlite_url(tmp_path), store_secret=secret_file(tmp_path))
    for asked, address in ((False, keeping), (True, client)):
        headers = address.post("/classify", params={"identifiers": asked}, content=content).headers
        assert not {"x-patient-id", "x-study-instance-uid"} & set(headers)
    headers = keeping.post("/classify", params={"identifiers": True}, content=content).headers
    assert (headers["x-patient-id"], headers["x-study-instance-uid"]) == ("P%204711", "1.2.3")
    picture = keeping.post("/classify", params={"identifiers": True}, content=encode(speckle()))
    assert "x-patient-id" not in picture.headers


@pytest.mark.parametrize(("raw", "expected"), [("Müller".encode("latin-1"), "M%C3%BCller"), (b"\x80\x0a7", "7")])
def test_an_identifier_of_any_bytes_can_be_a_header(
    serve: Callable[..., TestClient], tmp_path: Path, raw: bytes, expected: str
) -> None:
    content = dicoms.native([speckle()], PatientID="#" * len(raw))
    keeping = serve(Phantom(), store=sqlite_url(tmp_path), store_secret=secret_file(tmp_path))
    content = content.replace(b"#" * len(raw), raw)
    headers = keeping.post("/classify", params={"identifiers": True}, content=content).headers
    assert headers["x-patient-id"] == expected
