"""Use a Python client of openapi-generator: PACKAGE ADDRESS FRAME."""

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from openapi_client import ApiClient, BatchesApi, Configuration, FramesApi
from openapi_client.exceptions import ApiException

_, _, address, path = sys.argv
frame = Path(path).read_bytes()

with ApiClient(Configuration(host=address)) as client:
    answer = FramesApi(client).classify(file=("frame.png", frame), top=4)
    print("form", len(answer.predictions))

    batch = BatchesApi(client).classify_batch(files=[("frame.png", frame), ("frame.png", frame)])
    print("batch", len(batch.records), batch.summary.frames, batch.summary.complete)

    try:
        FramesApi(client).classify(file=("frame.png", b"no picture"))
    except ApiException as refusal:
        print("problem", json.loads(refusal.body)["code"])
