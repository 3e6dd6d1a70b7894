"""Use a client of openapi-python-client: PACKAGE ADDRESS FRAME."""

import io
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from generated import Client
from generated.api.batches import classify_batch
from generated.api.frames import classify
from generated.models import Batch, Classification, ClassifyBatchFilesBody, ClassifyFilesBody, ProblemDetails
from generated.types import File

_, _, address, path = sys.argv
frame = Path(path).read_bytes()


def file() -> File:
    return File(payload=io.BytesIO(frame), file_name="frame.png")


with Client(base_url=address, headers={"Accept": "application/json"}, timeout=60) as client:
    form = classify.sync(client=client, body=ClassifyFilesBody(file=file()), top=4)
    assert isinstance(form, Classification)
    print("form", len(form.predictions))

    raw = classify.sync(client=client, body=file(), top=4)
    assert isinstance(raw, Classification)
    print("raw", len(raw.predictions))

    batch = classify_batch.sync(client=client, body=ClassifyBatchFilesBody(files=[file(), file()]))
    assert isinstance(batch, Batch)
    print("batch", len(batch.records), batch.summary.frames, batch.summary.complete)

    problem = classify.sync(client=client, body=File(payload=io.BytesIO(b"no picture")))
    assert isinstance(problem, ProblemDetails)
    print("problem", problem.code)
