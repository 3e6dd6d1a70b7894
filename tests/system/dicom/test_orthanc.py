"""Orthanc as a scanner and as the archive, over TLS in both directions; results by C-STORE and by STOW-RS."""

import subprocess
from pathlib import Path

import pytest

from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.listener import SC, SR, TITLE, still
from tests.support.waiting import eventually
from tests.system.dicom.parts import ORTHANC, Orthanc, need, running_listen, running_orthanc, storescu

need("storescu", "echoscu", "openssl", ORTHANC)

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
CINE = dicoms.compressed([speckle(60, 80, seed=seed) for seed in range(3)], dicoms.RLE, dicoms.rle, "MONOCHROME2")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and its certificate, which is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def kinds(archive: Orthanc) -> list[str]:
    """The SOP class of every instance."""
    return sorted(
        archive.get(f"/instances/{each}/metadata/SopClassUid", text=True) for each in archive.get("/instances")
    )


def test_orthanc_sends_and_receives_over_tls(tmp_path: Path, certificate: Path, phantom_folder: Path) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    tls = {"DicomTlsEnabled": True, "DicomTlsCertificate": cert, "DicomTlsPrivateKey": key}
    tls |= {"DicomTlsTrustedCertificates": cert}
    with running_orthanc(tmp_path / "orthanc", **tls) as orthanc:
        destination = ["--to", f"ORTHANC@127.0.0.1:{orthanc.port}", "--to-tls", "--overlays"]
        own = ["--tls-cert", cert, "--tls-key", key, "--tls-ca", cert, "--model", str(phantom_folder)]
        with running_listen(tmp_path, *own, *destination) as listen:
            modality = {"AET": TITLE, "Host": "127.0.0.1", "Port": listen.port, "UseDicomTls": True}
            orthanc.put("/modalities/listener", modality)
            sources = [orthanc.post("/instances", each)["ID"] for each in (still(1), CINE)]
            assert orthanc.post("/modalities/listener/echo", "{}") == {}
            for source in sources:
                orthanc.post("/modalities/listener/store", source)
            wanted = sorted([dicoms.US, dicoms.US_MULTI, *[SR] * 4, *[SC] * 4])
            eventually(lambda: kinds(orthanc) == wanted, 300)
            assert not storescu(listen.port, [plain(tmp_path)])  # without TLS


def plain(folder: Path) -> Path:
    path = folder / "plain.dcm"
    path.write_bytes(still(2))
    return path


def test_results_reach_an_archive_by_stow(tmp_path: Path, phantom_folder: Path) -> None:
    need(str(PLUGIN))
    web = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with running_orthanc(tmp_path / "orthanc", **web) as orthanc:
        arguments = ["--to", f"http://127.0.0.1:{orthanc.http}/dicom-web", "--model", str(phantom_folder)]
        with running_listen(tmp_path, *arguments) as listen:
            assert storescu(listen.port, [plain(tmp_path)]) == [plain(tmp_path)]
            eventually(lambda: kinds(orthanc) == [SR], 300)
            echo = ["echoscu", "-aec", TITLE, "127.0.0.1", str(listen.port)]
            assert subprocess.run(echo, check=False).returncode == 0
