"""`fetal-planes process` against Orthanc on loopback, with Debian's `orthanc` and `orthanc-dicomweb`."""

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from bench.servers import free_port
from service import cli
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle

STUDY = "1.2.3.4"
SR, SC = "1.2.840.10008.5.1.4.1.1.88.33", dicoms.SECONDARY
FRAMES = [speckle(60, 80, seed=seed) for seed in range(3)]
PROGRAM = shutil.which("Orthanc") or shutil.which("orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

if not Path(PROGRAM).exists() or not PLUGIN.exists():
    pytest.skip("Orthanc with its DICOMweb plug-in is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    configuration = {
        "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": port, "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([PROGRAM, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(f"http://127.0.0.1:{port}/system")
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            server.terminate()
            server.wait(30)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            requests.get(url, timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    pytest.fail("Orthanc did not start")


@pytest.fixture(scope="module")
def web(archive: str) -> DICOMwebClient:
    client = DICOMwebClient(archive)
    sources = [
        dicoms.compressed(FRAMES, dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2"),
        dicoms.native([FRAMES[0]], SOPInstanceUID="1.2.3.4.6"),
        dicoms.native([FRAMES[0]], SOPInstanceUID="1.2.3.4.7", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"),
    ]
    client.store_instances([pydicom.dcmread(io.BytesIO(source)) for source in sources])
    return client


def process(model: Path, *arguments: str) -> int:
    return cli.main(["process", "--model", str(model), *arguments])


def found(web: DICOMwebClient, sop_class: str) -> list[dict[str, Any]]:
    return web.search_for_instances(STUDY, search_filters={"SOPClassUID": sop_class})


def test_results_are_stored_in_the_study_that_was_fetched(
    archive: str, web: DICOMwebClient, phantom_folder: Path, capsys: pytest.CaptureFixture[str], client: Any
) -> None:
    assert process(phantom_folder, "--dicomweb", archive, "--study", STUDY) == 0
    output = capsys.readouterr()
    rows = [json.loads(line) for line in output.out.splitlines()]
    assert sorted((row["file"], row["frame"]) for row in rows) == [
        ("1.2.3.4.5", 0), ("1.2.3.4.5", 1), ("1.2.3.4.5", 2), ("1.2.3.4.6", 0)
    ]  # fmt: skip
    assert "4 frames" in output.err
    for row in rows:
        source = dicoms.compressed(FRAMES, dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2")
        if row["file"] == "1.2.3.4.5":
            answer = client.post(f"/classify?frame={row['frame']}", content=source).json()
            assert row["answer"]["predictions"] == answer["predictions"]
    stored = {uid for row in rows for uid in row["dicom"]}
    assert len(stored) == 8
    in_archive = {each["00080018"]["Value"][0] for kind in (SR, SC) for each in found(web, kind)}
    assert stored == in_archive


def test_a_second_run_stores_no_further_object(archive: str, web: DICOMwebClient, phantom_folder: Path) -> None:
    process(phantom_folder, "--dicomweb", archive, "--study", STUDY)
    before = len(web.search_for_instances(STUDY))
    assert process(phantom_folder, "--dicomweb", archive, "--study", STUDY) == 0
    assert len(web.search_for_instances(STUDY)) == before == 11


def test_a_stored_report_is_read_back_complete(archive: str, web: DICOMwebClient, phantom_folder: Path) -> None:
    process(phantom_folder, "--dicomweb", archive, "--study", STUDY, "--reports")
    report = found(web, SR)[0]
    series, instance = report["0020000E"]["Value"][0], report["00080018"]["Value"][0]
    read = web.retrieve_instance(STUDY, series, instance)
    assert read.VerificationFlag == "UNVERIFIED"
    assert str(read.PatientID) == dicoms.PLANTED["PatientID"]
    assert read.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert {each["0020000E"]["Value"][0] for each in found(web, SR)} == {series}


@pytest.mark.parametrize(("url", "study"), [(None, "9.9.9"), ("http://127.0.0.1:9/dicom-web", STUDY)])
def test_an_absent_study_or_archive_is_reported_in_one_line(
    archive: str, phantom_folder: Path, url: str | None, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(phantom_folder, "--dicomweb", url or archive, "--study", study) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--study", STUDY], ["--dicomweb", "http://127.0.0.1:9"]])
def test_the_url_and_the_study_are_both_needed(phantom_folder: Path, arguments: list[str]) -> None:
    assert process(phantom_folder, *arguments) == 2
