"""The structured report in readers of other programs: dcmtk's `dsr2html` and `dsrdump`, highdicom, and dcmjs."""

import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom.sr import ComprehensiveSR, MeasurementReport
from pydicom.multival import MultiValue

from service.analysis.pipeline import Pipeline
from service.imaging.frame import Limits
from service.inference.engine import Engine
from service.reports.dicom.structured_report import write_report, write_study_report
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.listener import STUDY, instance, still
from tests.support.paths import ROOT

FRAMES = [speckle(60, 80, seed=seed) for seed in range(3)]
CINE = dicoms.compressed(FRAMES, dicoms.RLE, dicoms.rle, "MONOCHROME2", SOPInstanceUID="1.2.3.4.11")


@pytest.fixture(scope="module")
def pipeline(engine: Engine) -> Pipeline:
    return Pipeline(engine, Limits())


@pytest.fixture(scope="module")
def reports(pipeline: Pipeline) -> dict[str, bytes]:
    frame = pipeline.classify(CINE, index=1)
    study = [pipeline.classify(still(2)), frame, pipeline.classify(still(1)), pipeline.classify(CINE, index=0)]
    return {
        "frame": write_report(pipeline, frame).contents,
        "study": write_study_report(pipeline, study).contents,
    }


@pytest.mark.parametrize(("kind", "wanted"), [
    ("frame", ["1.2.3.4.11"]), ("study", sorted([instance(1), instance(2), "1.2.3.4.11"])),
])  # fmt: skip
def test_the_evidence_sequence_has_each_source_once(reports: dict[str, bytes], kind: str, wanted: list[str]) -> None:
    """(0040,A375), Current Requested Procedure Evidence Sequence, is required where a report has references."""
    report = pydicom.dcmread(io.BytesIO(reports[kind]))
    (study,) = report[0x0040, 0xA375].value
    assert study.StudyInstanceUID == report.StudyInstanceUID == STUDY
    found = [
        (str(each.ReferencedSOPInstanceUID), str(each.ReferencedSOPClassUID))
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    ]
    assert sorted(uid for uid, _ in found) == wanted
    assert {sop_class for _, sop_class in found} <= {dicoms.US, dicoms.US_MULTI}


@pytest.mark.parametrize(("kind", "groups"), [("frame", 1), ("study", 4)])
def test_highdicom_reads_it(reports: dict[str, bytes], kind: str, groups: int) -> None:
    report = ComprehensiveSR.from_dataset(pydicom.dcmread(io.BytesIO(reports[kind])))
    assert isinstance(report.content, MeasurementReport)
    found = report.content.get_image_measurement_groups()
    assert len(found) == groups
    assert all(each.get_qualitative_evaluations() and each.get_measurements() for each in found)


@pytest.mark.parametrize("kind", ["frame", "study"])
@pytest.mark.parametrize(("program", "once_a_frame"), [("dsr2html", "USm? image"), ("dsrdump", "Certainty of Finding")])
def test_dcmtk_reads_it(reports: dict[str, bytes], kind: str, program: str, once_a_frame: str, tmp_path: Path) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian's package dcmtk has it)")
    (tmp_path / "report.dcm").write_bytes(reports[kind])
    done = subprocess.run([path, str(tmp_path / "report.dcm")], capture_output=True, check=True)
    assert not done.stderr
    text = done.stdout.decode()
    assert "Answered: the model did not abstain" in text
    assert len(re.findall(once_a_frame, text)) == {"frame": 1, "study": 4}[kind]


def contents(item: pydicom.Dataset) -> list[Any]:
    """Name, type, value and children of a content item, as `read_by_dcmjs.cjs` prints them."""
    kind = str(item.ValueType)
    value: Any = None
    if kind == "CODE":
        value = str(item.ConceptCodeSequence[0].CodeMeaning)
    elif kind == "NUM":
        value = float(item.MeasuredValueSequence[0].NumericValue)
    elif kind in ("TEXT", "UIDREF", "PNAME"):
        value = str(item[{"TEXT": "TextValue", "UIDREF": "UID", "PNAME": "PersonName"}[kind]].value)
    elif kind == "IMAGE":
        image = item.ReferencedSOPSequence[0]
        numbers = image.get("ReferencedFrameNumber", [])
        several = numbers if isinstance(numbers, list | MultiValue) else [numbers]
        value = [str(image.ReferencedSOPInstanceUID), [int(each) for each in several]]
    name = str(item.ConceptNameCodeSequence[0].CodeMeaning) if "ConceptNameCodeSequence" in item else None
    return [name, kind, value, [contents(each) for each in item.get("ContentSequence", [])]]


@pytest.mark.parametrize("kind", ["frame", "study"])
def test_dcmjs_reads_every_item(reports: dict[str, bytes], kind: str, tmp_path: Path) -> None:
    """dcmjs is the parser of OHIF."""
    node, packages = shutil.which("node"), ROOT / ".cache" / "npm" / "node_modules"
    if node is None or not (packages / "dcmjs").is_dir():
        pytest.skip("dcmjs is not installed (npm install --prefix .cache/npm dcmjs@0.52.2)")
    (tmp_path / "report.dcm").write_bytes(reports[kind])
    script = Path(__file__).parent / "read_by_dcmjs.cjs"
    done = subprocess.run(
        [node, str(script), str(tmp_path / "report.dcm")],
        capture_output=True, check=True, timeout=120, env=os.environ | {"NODE_PATH": str(packages)},
    )  # fmt: skip
    uid, found = json.loads(done.stdout)
    report = pydicom.dcmread(io.BytesIO(reports[kind]))
    assert uid == report.SOPInstanceUID
    assert found == contents(report)


def test_the_same_frames_give_the_same_study_report_in_any_order(pipeline: Pipeline) -> None:
    results = [pipeline.classify(still(number)) for number in (1, 2)]
    first, second = (write_study_report(pipeline, each).uid for each in (results, results[::-1]))
    assert first == second != write_study_report(pipeline, results[:1]).uid
