"""Downloads from a faulty server, and archives with members outside of their folder."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model_build.cli import main
from model_build.data import zenodo
from model_build.data.download import DownloadError, download
from model_build.data.records import DataError
from tests.support.tiny_dataset import SCANNERS

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class FaultyServer:
    """What a server of one file does: the first `breaks` answers end after a third of their body."""

    content: bytes = CONTENT
    breaks: int = 0
    ranges: bool = True
    length: int | None = None
    shift: int = 0
    status: int | None = None
    record: dict[str, object] | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    faulty = FaultyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/records/" in self.path:
                self._send(200, json.dumps(faulty.record).encode(), {})
                return
            wanted = self.headers.get("Range")
            faulty.asked.append(wanted)
            if faulty.status:
                self._send(faulty.status, b"no", {})
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and faulty.ranges else 0
            body, size = faulty.content[start:], len(faulty.content)
            span = {"Content-Range": f"bytes {start + faulty.shift}-{size - 1}/{size}"} if start else {}
            cut = len(body) // 3 if faulty.breaks > 0 else len(body)
            faulty.breaks -= 1
            self._send(206 if start else 200, body, span, cut, faulty.length)

        def _send(
            self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None, length: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(length or len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    faulty.url = f"http://127.0.0.1:{running.server_port}"
    yield faulty
    running.shutdown()
    running.server_close()


def get(server: FaultyServer, file: Path, md5: str = MD5) -> Path:
    return download(f"{server.url}/file", file, len(CONTENT), md5, pause=0.01)


def test_an_interrupted_download_is_resumed(server: FaultyServer, tmp_path: Path) -> None:
    server.breaks = 2
    assert get(server, tmp_path / "a" / "file").read_bytes() == CONTENT
    third = len(CONTENT) // 3
    assert server.asked == [None, f"bytes={third}-", f"bytes={third + (len(CONTENT) - third) // 3}-"]
    get(server, tmp_path / "a" / "file")
    assert len(server.asked) == 3  # a complete file is not downloaded again


def test_a_server_that_ignores_ranges_sends_the_whole_file(server: FaultyServer, tmp_path: Path) -> None:
    server.breaks, server.ranges = 1, False
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[1] == f"bytes={len(CONTENT) // 3}-"


def test_a_partial_download_is_kept_for_the_next_call(server: FaultyServer, tmp_path: Path) -> None:
    server.breaks = 99
    with pytest.raises(DownloadError, match=r"file\.part is kept; the same command resumes it"):
        get(server, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert 0 < (tmp_path / "file.part").stat().st_size < len(CONTENT)
    server.breaks = 0
    assert get(server, tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT) - 7, len(CONTENT) + 7])
def test_an_unexpected_size_is_refused(server: FaultyServer, tmp_path: Path, length: int) -> None:
    server.length = length
    with pytest.raises(DownloadError, match=f"sends {length} bytes, expected {len(CONTENT)}"):
        get(server, tmp_path / "file")


def test_another_range_than_requested_is_refused(server: FaultyServer, tmp_path: Path) -> None:
    server.breaks, server.shift = 1, 5
    with pytest.raises(DownloadError, match="sends another range"):
        get(server, tmp_path / "file")


def test_a_wrong_hash_is_refused_and_the_download_deleted(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="was deleted"):
        get(server, tmp_path / "file", "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_and_a_missing_connection_are_explained(server: FaultyServer, tmp_path: Path) -> None:
    server.status = 403
    with pytest.raises(DownloadError, match="answers 403"):
        get(server, tmp_path / "file")
    with pytest.raises(DownloadError, match=r"Is this computer online\? Set HTTPS_PROXY"):
        download("http://127.0.0.1:9/file", tmp_path / "file", 1, MD5, pause=0)


def test_a_proxy_is_taken_from_the_environment(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    got = download("http://nowhere.invalid/file", tmp_path / "file", len(CONTENT), MD5, pause=0)
    assert got.read_bytes() == CONTENT


def planes_archive(rows: int = 6, *, mangle: bool = False, lose: bool = False) -> bytes:
    lines = ["Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for row in range(rows):
            name = f"Patient0000{row}_Plane3_1_of_1"
            if not (lose and row == 2):
                archive.writestr(f"Images/{name}.png", b"picture")
            plane = "Fetal femur" if mangle and row == 4 else "Fetal brain"
            lines.append(f"{name};{row};{plane};Not A Brain;Op. 1;{SCANNERS[0]};1 ")
        archive.writestr("FETAL_PLANES_DB_data.csv", "\n".join(lines))
    return out.getvalue()


def offer(
    server: FaultyServer,
    archive: bytes,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    rows: int = 6,
    md5: str | None = None,
) -> None:
    wanted = replace(zenodo.PUBLIC_DATA_SETS[name], rows=rows, md5=md5)
    monkeypatch.setitem(zenodo.PUBLIC_DATA_SETS, name, wanted)
    server.content = archive
    checksum = f"md5:{hashlib.md5(archive).hexdigest()}"
    file = {"key": wanted.archive, "size": len(archive), "checksum": checksum, "links": {"self": f"{server.url}/it"}}
    server.record = {"files": [file]}


def fetch(server: FaultyServer, name: str, folder: Path) -> Path:
    return zenodo.fetch(name, folder, zenodo=f"{server.url}/records", pause=0.01)


def test_a_data_set_is_fetched_unpacked_and_not_fetched_again(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, planes_archive(), "planes", monkeypatch)
    server.breaks = 1
    assert fetch(server, "planes", tmp_path) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FETAL_PLANES_DB_data.csv", "Images"]
    asked = len(server.asked)
    fetch(server, "planes", tmp_path)
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (planes_archive(5), "has 5 rows, 6 were published"),
        (planes_archive(mangle=True), "line 6: Patient00004_Plane3_1_of_1 does not match 4, Fetal femur"),
        (planes_archive(lose=True), "line 4: .*Patient00002.* does not exist"),
        (b"PK\x03\x04 but not for long", "cannot be unpacked"),
    ],
)
def test_other_contents_than_published_are_refused(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bytes, message: str
) -> None:
    offer(server, archive, "planes", monkeypatch)
    with pytest.raises(DataError, match=message):
        fetch(server, "planes", tmp_path)


def test_another_archive_than_the_known_one_is_refused(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, planes_archive(), "planes", monkeypatch, md5="2" * 32)
    with pytest.raises(DownloadError, match="expected md5:"):
        fetch(server, "planes", tmp_path)


def test_the_african_archive_is_a_tar_with_a_folder_of_its_own(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    table = "Patient_num,Plane,Train,Center,Filename\n1,Fetal brain,1,Ghana,patient001_GHA_plane0\n"
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for name, content in (
            ("African_planes_database.csv", table.encode()),
            ("Ghana/patient001_GHA_plane0.png", b"x"),
        ):
            member = tarfile.TarInfo(f"Zenodo_dataset/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    offer(server, out.getvalue(), "africa", monkeypatch, rows=1)
    assert fetch(server, "africa", tmp_path) == tmp_path / "Zenodo_dataset"


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "Images/../../out.png", "..\\out.png", "C:/out.png"])
def test_a_member_outside_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "in" / "faulty.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(name, b"out")
    with pytest.raises(DataError, match="outside of its folder"):
        zenodo.unpack(archive, archive.parent)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["faulty.zip", "in"]


def test_the_command_writes_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert main(["fetch", "planes", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fetal-planes-build: https://zenodo.org/api/records/3904280 cannot be downloaded: ")
    assert line.endswith(". Is this computer online? Set HTTPS_PROXY to use a proxy.")
