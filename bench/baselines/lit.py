"""LitServe: https://lightning.ai/docs/litserve/features/request-response-format ; one worker per core."""

import os
import sys
from typing import Any

import litserve as ls
from starlette.requests import Request

from bench.baselines.model import DefaultSession


class PlaneAPI(ls.LitAPI):
    """An API that classifies one frame."""

    def setup(self, device: str) -> None:
        """Open the session, once per worker."""
        self.model = DefaultSession()

    async def decode_request(self, request: Request) -> bytes:
        """Return the form's file. LitServe reads any other body as JSON."""
        upload: bytes = await request["upload"].read()
        return upload

    async def predict(self, x: bytes) -> dict[str, Any]:
        """Return the two most probable planes."""
        return self.model.classify(x)

    async def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the output unchanged."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(
        PlaneAPI(api_path="/classify", enable_async=True),
        accelerator="cpu",
        workers_per_device=len(os.sched_getaffinity(0)),
    )
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
