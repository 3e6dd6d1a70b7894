"""FastAPI and ONNX Runtime, as tutorials show it: an endpoint in the framework's thread pool, one session.

`python -m bench.baselines.plain PORT [float32 | int8]`; `int8` takes our quantized graph.

https://fastapi.tiangolo.com/async/ : a function that blocks is a plain `def`.
"""

import sys
from typing import Annotated, Any, get_args

import uvicorn
from fastapi import Body, FastAPI

from bench.baselines.model import DefaultSession
from service.schemas.manifest import Precision


def create_app(precision: Precision = "float32") -> FastAPI:
    """Return an app with its own session."""
    model = DefaultSession(precision)
    app = FastAPI()

    @app.post("/classify")
    def classify(upload: Annotated[bytes, Body(media_type="application/octet-stream")]) -> dict[str, Any]:
        """Return the two most probable planes of one frame."""
        return model.classify(upload)

    return app


if __name__ == "__main__":
    port, named = int(sys.argv[1]), sys.argv[2:] or ["float32"]
    (chosen,) = [each for each in get_args(Precision) if each in named]
    uvicorn.run(create_app(chosen), port=port, log_level="warning")
