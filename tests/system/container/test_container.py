"""The image as an operator meets it: built by the Dockerfile, started by the compose file, asked over HTTP."""

import json
import time

import httpx2 as httpx
import pytest

from tests.support.images import encode, speckle
from tests.system.container.engine import IMAGE, Engine

FRAME = encode(speckle(480, 640))
OWN_BYTES = 353e6  # what it adds to the base: 347 MB when this was written; a jump is to be noticed
MEASURE = """
import os
print(sum(os.lstat(f"{folder}/{name}").st_size for folder, _, names in os.walk("/opt/fetal-planes") for name in names))
"""
KEEP_CORRECTIONS = """
import hashlib, pathlib, tempfile
from service.schemas.corrections import NewCorrection
from service.store import open_store
from service.store.options import StoreOptions
from service.store.selection import Selection
secret = pathlib.Path(tempfile.gettempdir(), "site.secret")
secret.write_text("x" * 32)
store = open_store(StoreOptions(f"sqlite:///{secret.with_name('corrections.db')}", secret))
digest = hashlib.sha256().hexdigest()
model = {"name": "m", "version": "1", "sha256": digest}
new = NewCorrection(digest=digest, model=model, answer={"plane": "other"}, verdict="accepted")
store.add([new], None)
print([each.plane for each in store.page(Selection(0, 10))[0]])
store.close()
"""
TRY_TO_WRITE = """
import errno, pathlib
for folder in ("/", "/opt/fetal-planes", "/etc", "/tmp"):
    try:
        (pathlib.Path(folder) / "probe").write_text("x")
        print(folder, "written")
    except OSError as error:
        print(folder, errno.errorcode[error.errno])
"""


def test_classifies(client: httpx.Client) -> None:
    reply = client.post("/classify", files={"file": FRAME})
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert len(answer["predictions"]) == 2
    assert answer["frame"]["width"] == 640


def test_explains(client: httpx.Client) -> None:
    reply = client.post("/explain", content=FRAME, headers={"Accept": "image/jpeg"})
    assert reply.status_code == 200, reply.text
    assert reply.content.startswith(b"\xff\xd8\xff")


def test_counts_what_it_served(client: httpx.Client) -> None:
    client.post("/classify", content=FRAME)
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert "/classify" in reply.text


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health", "/model", "/openapi.json"])
def test_tells_of_itself(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.usefixtures("client")
def test_its_health_check_passes(engine: Engine) -> None:
    for _ in range(40):
        if engine.is_healthy():
            return
        time.sleep(1)
    pytest.fail("the container's health check does not pass")


@pytest.mark.usefixtures("client")
def test_runs_without_rights(engine: Engine) -> None:
    assert engine.python("import os; print(os.getuid(), os.getgid())") == "10001 10001"
    status = dict(
        line.split(":", 1) for line in engine.python("print(open('/proc/1/status').read())").splitlines() if ":" in line
    )
    assert int(status["Uid"].split()[0]) == 10001
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert int(status["NoNewPrivs"]) == 1


@pytest.mark.usefixtures("client")
def test_can_write_nothing_but_its_memory(engine: Engine) -> None:
    lines = engine.python(TRY_TO_WRITE).splitlines()
    assert lines == ["/ EROFS", "/opt/fetal-planes EROFS", "/etc EROFS", "/tmp written"]
    mounts = [line.split() for line in engine.python("print(open('/proc/mounts').read())").splitlines()]
    assert [mount[2] for mount in mounts if mount[1] == "/tmp"] == ["tmpfs"]


@pytest.mark.usefixtures("client")
def test_holds_no_torch_and_no_installer(engine: Engine) -> None:
    program = "import importlib.util as u; print([m for m in ('torch', 'onnx', 'pip', 'setuptools') if u.find_spec(m)])"
    assert engine.python(program) == "[]"


@pytest.mark.usefixtures("client")
def test_adds_little_to_its_base(engine: Engine) -> None:
    assert 100e6 < int(engine.python(MEASURE)) <= OWN_BYTES


@pytest.mark.usefixtures("client")
def test_can_keep_corrections(engine: Engine) -> None:
    """The migrations and the database's driver are in the image. (PostgreSQL: by its driver alone.)"""
    assert engine.python(KEEP_CORRECTIONS) == "['other']"
    assert engine.python("import sqlalchemy.dialects.postgresql.pg8000, pg8000.dbapi; print('there')") == "there"


def test_is_labeled(engine: Engine) -> None:
    labels = engine.inspect(IMAGE)["Config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.base.name"] == "python:3.11-slim-bookworm"


def test_stops_cleanly_when_asked(client: httpx.Client, engine: Engine) -> None:
    """Last in the file, and this the last file that asks the service: here it ends."""
    assert client.get("/health/live").status_code == 200
    container = engine.container()
    started = time.monotonic()
    engine("stop", "--time", "30", container)
    assert engine.inspect(container)["State"]["ExitCode"] == 0
    assert time.monotonic() - started < 20
    log = engine.log()
    assert "Traceback" not in log
    assert all(json.loads(line) for line in log.splitlines() if line.startswith("{"))
