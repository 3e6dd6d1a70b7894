"""BentoML: https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html ; one worker per core."""

import os
from pathlib import Path
from typing import Any

import bentoml

from bench.baselines.model import DefaultSession


@bentoml.service(workers=len(os.sched_getaffinity(0)), traffic={"timeout": 60})
class Planes:
    """A service that classifies one frame."""

    def __init__(self) -> None:
        self.model = DefaultSession()

    @bentoml.api(route="/classify")
    def classify(self, upload: Path) -> dict[str, Any]:
        """Return the two most probable planes."""
        return self.model.classify(upload.read_bytes())
