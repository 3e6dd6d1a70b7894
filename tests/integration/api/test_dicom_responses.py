"""DICOM out: report and overlay, read back, and checked by others' validators where these are installed."""

import email
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.dataset import Dataset

from service import cli
from service.execution.decoders.decoder import InProcessDecoder
from service.imaging.dicom import image
from service.imaging.dicom.dataset.walk import Wanted
from service.imaging.dicom.scan import DatasetLayout, scan_layout
from service.inference.engine import Engine
from tests.support import dicom_objects as dicoms
from tests.support.dicom_objects import PLANTED
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom

PIXELS = speckle(200, 300, seed=4)
STILL = dicoms.native([PIXELS])
CINE = dicoms.compressed([speckle(200, 300, seed=seed) for seed in range(3)], dicoms.RLE, dicoms.rle, "MONOCHROME2")
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def report_of(client: TestClient, upload: bytes, query: str = "") -> Dataset:
    reply = client.post(f"/classify{query}", content=upload, headers={"accept": "application/dicom"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/dicom"
    assert reply.headers["cache-control"] == "no-store"
    return read(reply.content)


def parts_of(client: TestClient, upload: bytes, query: str = "", accept: str = "application/dicom") -> list[bytes]:
    reply = client.post(f"/explain{query}", content=upload, headers={"accept": accept})
    assert reply.status_code == 200, reply.text
    kind = reply.headers["content-type"]
    assert kind.startswith('multipart/related; type="application/dicom"; boundary=')
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + reply.content)
    assert [part.get_content_type() for part in list(message.walk())[1:]] == ["application/dicom"] * 2
    boundary = kind.rpartition("=")[2].encode()
    return [part.partition(b"\r\n\r\n")[2][:-2] for part in reply.content.split(b"--" + boundary)[1:-1]]


def values(report: Dataset) -> dict[str, Any]:
    """What each leaf of the report's tree says, by the meaning of its concept."""
    found: dict[str, Any] = {}

    def visit(item: Dataset) -> None:
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        if item.ValueType == "NUM":
            found[name] = float(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE":
            found[name] = item.ConceptCodeSequence[0].CodeValue
        elif item.ValueType == "TEXT":
            found.setdefault(name, []).append(item.TextValue)
        elif item.ValueType == "IMAGE":
            found["image"] = item.ReferencedSOPSequence[0]
        for child in item.get("ContentSequence", []):
            visit(child)

    visit(report)
    return found


class TestReport:
    def test_says_what_the_json_says(self, client: TestClient, phantom: Phantom, engine: Engine) -> None:
        answer = client.post(f"/classify?top={len(phantom.planes)}", content=STILL).json()
        found = values(report_of(client, STILL))
        first = answer["predictions"][0]
        assert found["Image View"] == first["plane"]
        assert found["Certainty of Finding"] == pytest.approx(100 * first["probability"], abs=0.001)
        for each in answer["predictions"]:
            assert found[f"Probability of {each['label']}"] == pytest.approx(100 * each["probability"], abs=0.001)
        assert found["Reliability of the classification"] == "answered"
        assert found["Algorithm Name"] == ["phantom"]
        assert found["Algorithm Version"] == ["1.2.3"]
        assert f"model sha256 {engine.package.sha256}" in found["Algorithm Parameters"]

    def test_says_that_the_model_abstains(self, serve: Any) -> None:
        found = values(report_of(serve(Phantom(min_probability=1.0)), STILL))
        assert found["Reliability of the classification"] == "uncertain"

    def test_is_an_unverified_preliminary_one_for_research(self, client: TestClient) -> None:
        report = report_of(client, STILL)
        assert report.SOPClassUID == SR
        assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
        assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
        assert report.ContentQualification == "RESEARCH"
        assert "RESEARCH USE ONLY, unverified" in report.SeriesDescription

    def test_refers_to_its_frame(self, client: TestClient) -> None:
        still, third = values(report_of(client, STILL))["image"], values(report_of(client, CINE, "?frame=2"))["image"]
        assert still.ReferencedSOPInstanceUID == third.ReferencedSOPInstanceUID == "1.2.3.4.5"
        assert "ReferencedFrameNumber" not in still
        assert third.ReferencedFrameNumber == 3
        assert third.ReferencedSOPClassUID == dicoms.US_MULTI


class TestOverlay:
    def test_comes_with_the_report(self, client: TestClient) -> None:
        for accept in ("application/dicom", 'multipart/related; type="application/dicom"'):
            report, overlay = map(read, parts_of(client, STILL, accept=accept))
            assert report.SOPClassUID == SR
            assert overlay.SOPClassUID == dicoms.SECONDARY

    def test_shows_the_overlay_above_a_warning(self, client: TestClient) -> None:
        overlay = read(parts_of(client, STILL)[1])
        picture = client.post("/explain", content=STILL, headers={"accept": "image/png"}).content
        expected = np.asarray(encode_back(picture))
        shown = overlay.pixel_array
        assert shown.shape[0] > 200
        assert shown.shape[1] == 300
        assert np.abs(shown[:200].astype(int) - expected.astype(int)).mean() < 6
        assert shown[206:].max() > 200  # white letters
        assert np.median(shown[206:]) < 10  # on black

    def test_is_marked(self, client: TestClient) -> None:
        overlay = read(parts_of(client, STILL)[1])
        assert overlay.ImageType[0] == "DERIVED"
        assert overlay.BurnedInAnnotation == "YES"  # the source does not say that there is none
        assert "Unverified" in overlay.ImageComments
        assert "RESEARCH USE ONLY, unverified" in overlay.SeriesDescription
        assert overlay.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5"

    def test_of_another_plane_is_another_object(self, client: TestClient) -> None:
        overlays = [read(parts_of(client, STILL, f"?target={plane}")[1]) for plane in ("other", "fetal_brain")]
        assert overlays[0].SOPInstanceUID != overlays[1].SOPInstanceUID
        assert "Fetal brain" in overlays[1].DerivationDescription

    def test_says_nothing_burned_in_where_the_source_does(self, client: TestClient) -> None:
        upload = dicoms.native([PIXELS], BurnedInAnnotation="NO")
        assert read(parts_of(client, upload)[1]).BurnedInAnnotation == "NO"

    def test_without_the_overlay_there_is_nothing_to_send(self, client: TestClient) -> None:
        reply = client.post("/explain?overlay=false", content=STILL, headers={"accept": "application/dicom"})
        assert reply.status_code == 400


class TestBoth:
    def test_belong_to_the_source_s_patient_and_study(self, client: TestClient) -> None:
        for result in map(read, parts_of(client, STILL)):
            assert result.StudyInstanceUID == "1.2.3.4"
            for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber"):
                assert str(result[keyword].value) == PLANTED[keyword]
            assert not {"OperatorsName", "InstitutionName", "PatientComments"} & set(result.dir())
            assert result.PatientSex == "F"

    def test_have_series_and_uids_of_their_own_that_stay_the_same(self, client: TestClient) -> None:
        first, again = (list(map(read, parts_of(client, CINE, "?frame=1"))) for _ in range(2))
        other = list(map(read, parts_of(client, CINE, "?frame=2")))
        assert [each.SOPInstanceUID for each in first] == [each.SOPInstanceUID for each in again]
        assert [each.SeriesInstanceUID for each in first] == [each.SeriesInstanceUID for each in other]
        uids = {each.SOPInstanceUID for each in first + other} | {each.SeriesInstanceUID for each in first}
        assert len(uids) == 6
        assert "1.2.3.4.1" not in uids

    @pytest.mark.parametrize("name", ["Müller^Zoë", "山田^太郎", "^" * 20, "x" * 200, "a=b=c=d"])
    def test_take_over_a_name_as_it_is(self, client: TestClient, name: str) -> None:
        upload = dicoms.native([PIXELS], SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientSex="odd")
        for result in map(read, parts_of(client, upload)):
            assert str(result.PatientName) == name.rstrip("^") or str(result.PatientName) == name
            assert result.PatientSex == "odd"

    @pytest.mark.parametrize("path", ["/classify", "/explain"])
    @pytest.mark.parametrize(
        "upload",
        [encode(PIXELS), dicoms.native([PIXELS], StudyInstanceUID=None), dicoms.native([PIXELS], SeriesInstanceUID="")],
    )
    def test_need_a_source_to_belong_to(self, client: TestClient, path: str, upload: bytes) -> None:
        reply = client.post(path, content=upload, headers={"accept": "application/dicom"})
        assert (reply.status_code, reply.json()["code"]) == (422, "no-dicom-source")

    @pytest.mark.parametrize("accept", ["*/*", "application/json, application/dicom;q=0.9", ""])
    def test_are_not_sent_unasked(self, client: TestClient, accept: str) -> None:
        for path in ("/classify", "/explain"):
            assert client.post(path, content=STILL, headers={"accept": accept}).json()["predictions"]


class TestCommand:
    def run(self, folder: Path, model: Path, upload: bytes, *options: str) -> int:
        (folder / "frame").write_bytes(upload)
        return cli.main(["explain", str(folder / "frame"), "--model", str(model), *options])

    def test_writes_both(self, tmp_path: Path, phantom_folder: Path, capsys: Any) -> None:
        out = tmp_path / "new" / "out"
        assert self.run(tmp_path, phantom_folder, STILL, "--dicom", str(out)) == 0
        assert pydicom.dcmread(out / "report.dcm").SOPClassUID == SR
        assert pydicom.dcmread(out / "overlay.dcm").SOPClassUID == dicoms.SECONDARY
        assert '"predictions"' in capsys.readouterr().out

    def test_refuses_what_is_no_dicom(self, tmp_path: Path, phantom_folder: Path, capsys: Any) -> None:
        assert self.run(tmp_path, phantom_folder, encode(PIXELS), "--dicom", str(tmp_path / "out")) == 1
        assert "no-dicom-source" in capsys.readouterr().out
        assert not (tmp_path / "out").exists()

    def test_needs_something_to_write(self, tmp_path: Path, phantom_folder: Path) -> None:
        assert self.run(tmp_path, phantom_folder, STILL) == 2


class TestValidators:
    """Debian's dcmtk and dicom3tools."""

    def run(self, tool: str, *arguments: str | Path) -> str:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
        run = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout + run.stderr

    @pytest.fixture
    def files(self, client: TestClient, tmp_path: Path) -> list[Path]:
        paths = [tmp_path / "report.dcm", tmp_path / "overlay.dcm"]
        for path, part in zip(paths, parts_of(client, CINE, "?frame=1"), strict=True):
            path.write_bytes(part)
        return paths

    def test_dcmtk_reads_both(self, files: list[Path]) -> None:
        for path in files:
            assert "yes:" in self.run("dcmftest", path)
            self.run("dcmdump", "-q", path)

    def test_dcmtk_reads_the_report_s_tree_without_a_warning(self, files: list[Path]) -> None:
        shown = self.run("dsrdump", "--verbose", "--processing-details", files[0])
        assert "UNVERIFIED" in shown
        assert "Image View" in shown
        assert not [line for line in shown.splitlines() if line.startswith(("W:", "E:", "F:"))]

    def test_dcmtk_decodes_the_overlay(self, files: list[Path], tmp_path: Path) -> None:
        self.run("dcmdjpeg", files[1], tmp_path / "plain.dcm")
        assert pydicom.dcmread(tmp_path / "plain.dcm").pixel_array.shape[1] == 300

    def test_dicom3tools_find_no_error(self, files: list[Path]) -> None:
        for path in files:
            assert "Error" not in self.run("dciodvfy", path)


def encode_back(png: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize("upload", [STILL, CINE])
def test_an_object_is_scanned_once_for_report_and_overlay(
    client: TestClient, upload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []

    def counted(data: bytes, max_bytes: int, wanted: Wanted) -> DatasetLayout:
        calls.append(data)
        return scan_layout(data, max_bytes, wanted)

    monkeypatch.setattr(image, "scan_layout", counted)
    app: Any = client.app
    pipeline = app.state.runtime.model.pipeline
    monkeypatch.setattr(pipeline, "decoder", InProcessDecoder(pipeline.limits))
    parts_of(client, upload)
    assert len(calls) == 1
