"""A typed client of the Fetal Planes service: `Client`, and `AsyncClient` for an event loop.

Both repeat a request that the service refuses with 503, after the time in its header `Retry-After`.

::

    with Client("http://127.0.0.1:8000") as client:
        answer = client.classify("frame.png")
        for line in client.classify_batch(["a.dcm", "b.dcm"]):
            ...
"""

from fetal_planes_client.clients import AsyncClient, Client
from fetal_planes_client.errors import (
    ClientError,
    CutShortError,
    RefusedError,
    UnreachableError,
    UnreadableReplyError,
)
from fetal_planes_client.messages import BatchRecord
from fetal_planes_client.types.answers import Classification, ExplainedClassification
from fetal_planes_client.types.batch import BatchEnd, FrameAnswer, FrameProblem
from fetal_planes_client.types.corrections import CorrectedAnswer, Correction, CorrectionsPage, NewCorrection
from fetal_planes_client.types.exam import ExamReport
from fetal_planes_client.types.manifest import Manifest
from fetal_planes_client.types.problems import ProblemDetails
from fetal_planes_client.types.protocols import Protocol, Protocols
from fetal_planes_client.uploads import NamedUpload, Upload

__version__ = "0.5.0"

__all__ = [
    "AsyncClient",
    "BatchEnd",
    "BatchRecord",
    "Classification",
    "Client",
    "ClientError",
    "CorrectedAnswer",
    "Correction",
    "CorrectionsPage",
    "CutShortError",
    "ExamReport",
    "ExplainedClassification",
    "FrameAnswer",
    "FrameProblem",
    "Manifest",
    "NamedUpload",
    "NewCorrection",
    "ProblemDetails",
    "Protocol",
    "Protocols",
    "RefusedError",
    "UnreachableError",
    "UnreadableReplyError",
    "Upload",
]
