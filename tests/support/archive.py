"""A small DICOMweb archive, which can answer in parts, ignore the offset, refuse, or fail."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

STUDY, SERIES = "1.2.3.4", "1.2.3.4.1"


@dataclass
class Archive:
    """What an archive holds, how it behaves, and what it was asked.

    Attributes
    ----------
    objects
        SOP Instance UID -> SOP class, modality, file.
    part
        Largest number of entries in an answer to a search.
    status
        Status of each answer to: `search`, `page` (a search with an offset), `fetch`, `store`.
    """

    objects: dict[str, tuple[str, str, bytes]]
    part: int = 1000
    heeds_offset: bool = True
    warns: bool = True
    repeats: int = 1
    status: dict[str, int] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    authorization: set[str | None] = field(default_factory=set)
    stored: int = 0
    url: str = ""

    def entries(self, offset: int) -> tuple[list[str], int]:
        """Return the instances in an answer, and how many are left."""
        start = offset if self.heeds_offset else 0
        found = list(self.objects)[start : start + self.part]
        return found * self.repeats, max(0, len(self.objects) - start - len(found))


@contextmanager
def serve(archive: Archive) -> Iterator[Archive]:
    """Serve an archive on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def reply(self, status: int, kind: str = "text/plain", body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def refuses(self, what: str) -> bool:
            archive.asked[what] += 1
            archive.authorization.add(self.headers.get("Authorization"))
            if what in archive.status:
                self.reply(archive.status[what])
            return what in archive.status

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            if not place.path.endswith("/instances"):
                if not self.refuses("fetch"):
                    file = archive.objects[place.path.rpartition("/")[2]][2]
                    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--\r\n"
                    self.reply(200, 'multipart/related; type="application/dicom"; boundary=b', body)
                return
            offset = int(parse_qs(place.query).get("offset", ["0"])[0])
            if self.refuses("page" if offset else "search"):
                return
            found, left = archive.entries(offset)
            more = {"Warning": f'299 archive "There are {left} additional results that can be requested"'}
            body = json.dumps([entry(uid, *archive.objects[uid][:2]) for uid in found]).encode() if found else b""
            self.reply(200 if found else 204, "application/dicom+json", body, **more if left and archive.warns else {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if not self.refuses("store"):
                archive.stored += 1
                self.reply(200, "application/dicom+json", b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def entry(instance: str, sop_class: str, modality: str) -> dict[str, dict[str, object]]:
    """Return an entry of an answer to a search, in DICOM JSON (PS3.18, F.2)."""
    values = {"00080016": sop_class, "00080060": modality, "0020000E": SERIES, "00080018": instance}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()}
