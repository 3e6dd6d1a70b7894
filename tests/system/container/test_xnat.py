"""The image's command label, carried out as XNAT's container service carries it out."""

import csv
import json
import os
from pathlib import Path

import pydicom

from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.system.container.engine import IMAGE, Engine

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"  # Comprehensive SR
SOMEBODY = 12345  # not the image's user: XNAT runs containers as the owner of its own folders


def test_xnat_gets_rows_reports_and_overlays(engine: Engine, tmp_path: Path) -> None:
    (command,) = json.loads(engine.inspect(IMAGE)["Config"]["Labels"]["org.nrg.commands"])
    folders = {mount["name"]: tmp_path / mount["name"] for mount in command["mounts"]}
    for folder in folders.values():
        folder.mkdir()
    for number in (1, 2):
        frame = dicoms.native([speckle(240, 320, seed=number)], SOPInstanceUID=f"1.2.3.{number}")
        (folders["in"] / f"{number}.dcm").write_bytes(frame)
    owner = os.getuid() or SOMEBODY
    if not os.getuid():
        os.chown(folders["out"], owner, owner)

    mounts = [
        f"--volume={folders[mount['name']]}:{mount['path']}:{'rw' if mount['writable'] else 'ro'}"
        for mount in command["mounts"]
    ]
    entrypoint = ["--entrypoint="] if command["override-entrypoint"] else []
    shell = [IMAGE, "/bin/sh", "-c", command["command-line"]]
    engine("run", "--rm", "--network=none", f"--user={owner}:{owner}", *entrypoint, *mounts, *shell)

    (output,) = command["outputs"]
    out = folders[output["mount"]]
    rows = [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "file" in row]
    assert sorted(row["file"] for row in rows) == ["1.dcm", "2.dcm"]
    assert all(row["answer"]["predictions"] for row in rows)
    assert len(list(csv.DictReader((out / "frames.csv").read_text().splitlines()))) == 2
    made = [pydicom.dcmread(path) for path in (out / "dicom").iterdir()]
    assert sorted(each.SOPClassUID for each in made) == [dicoms.SECONDARY] * 2 + [REPORT] * 2
    assert {each.PatientID for each in made} == {dicoms.PLANTED["PatientID"]}
