"""FastAPI and ONNX Runtime, as tutorials show it: an endpoint in the framework's thread pool, one session.

https://fastapi.tiangolo.com/async/ : a function that blocks is a plain `def`.
"""

from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI

from bench.baselines.model import DefaultSession

model = DefaultSession()
app = FastAPI()


@app.post("/classify")
def classify(upload: Annotated[bytes, Body(media_type="application/octet-stream")]) -> dict[str, Any]:
    """Return the two most probable planes of one frame."""
    return model.classify(upload)


if __name__ == "__main__":
    import sys

    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
