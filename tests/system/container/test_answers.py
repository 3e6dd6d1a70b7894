"""What was taken out of the image is missed by nothing: it reads every kind of file, and gives every kind of answer."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.dataset import Dataset

from service.app import create_app
from service.settings import Settings
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle

GRAY = speckle(240, 320)
COLOR = np.dstack([GRAY, 255 - GRAY, GRAY])
OBJECTS: dict[str, Callable[[], bytes]] = {
    "implicit": lambda: dicoms.native([GRAY], dicoms.IMPLICIT),
    "deflated, 16 bits": lambda: dicoms.native([GRAY.astype(np.uint16)], dicoms.DEFLATED),
    "cine": lambda: dicoms.native([GRAY] * 3),
    "JPEG": lambda: dicoms.compressed([COLOR], dicoms.BASELINE, dicoms.jpeg, "YBR_FULL"),
    "JPEG lossless": lambda: dicoms.compressed([GRAY], dicoms.LOSSLESS, dicoms.lossless_jpeg, "MONOCHROME2"),
    "JPEG-LS": lambda: dicoms.compressed([GRAY], dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless, "MONOCHROME2"),
    "JPEG 2000": lambda: dicoms.compressed([COLOR], dicoms.J2K_LOSSLESS, dicoms.jpeg_2000, "RGB"),
    "RLE": lambda: dicoms.compressed([COLOR], dicoms.RLE, dicoms.rle, "RGB"),
}


def tags(dataset: Dataset) -> dict[Any, Any]:
    """Every element's tag; of a sequence, those of its items."""
    return {
        element.tag: [tags(item) for item in element.value] if element.VR == "SQ" else element.VR for element in dataset
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_reads_dicom(client: httpx.Client, name: str) -> None:
    reply = client.post("/classify", content=OBJECTS[name]())
    assert reply.status_code == 200, reply.text
    assert reply.json()["frame"]["format"] == "dicom"
    assert reply.json()["frame"]["width"] == 320


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp"])
def test_reads_pictures(client: httpx.Client, kind: str) -> None:
    frame = cv2.imencode(f".{kind}", GRAY)[1].tobytes()
    reply = client.post("/classify", content=frame)
    assert reply.status_code == 200, reply.text
    assert reply.json()["frame"]["format"] == kind


@pytest.mark.parametrize("sop_class", [dicoms.US, dicoms.US_MULTI, dicoms.SECONDARY])
def test_writes_the_dicom_that_it_writes_elsewhere(client: httpx.Client, sop_class: str) -> None:
    source = dicoms.native([GRAY], SOPClassUID=sop_class)
    accept = {"Accept": "application/dicom"}
    with TestClient(create_app(Settings())) as elsewhere:
        here, there = (each.post("/classify", content=source, headers=accept) for each in (client, elsewhere))
        assert here.status_code == there.status_code == 200, here.text
        report, wanted = (pydicom.dcmread(io.BytesIO(reply.content)) for reply in (here, there))
        assert tags(report) == tags(wanted)
        assert report.PatientName == wanted.PatientName == dicoms.PLANTED["PatientName"]
        overlay = client.post("/explain", content=source, headers=accept)
    assert overlay.status_code == 200
    assert overlay.headers["Content-Type"].startswith("multipart/related")


def test_reports_an_exam(client: httpx.Client) -> None:
    files = [("files", (f"{name}.dcm", make())) for name, make in OBJECTS.items()]
    reply = client.post("/exam", files=files, headers={"Accept": "text/html"})
    assert reply.status_code == 200, reply.text
    assert reply.text.count("data:image/") >= len(OBJECTS) - 1  # of the cine, its best frame, if it has one
    assert client.post("/classify/batch", files=[("files", encode(GRAY))]).text.count("\n") == 2
