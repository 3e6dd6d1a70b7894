"""A typed client for programs: `Client`, and `AsyncClient` for an event loop.

Both repeat a request that the service refuses with 503, after the time in its header `Retry-After`.

::

    with Client("http://127.0.0.1:8000") as client:
        answer = client.classify(Path("frame.png"))
        for line in client.classify_batch([Path("a.dcm"), Path("b.dcm")]):
            ...
"""

from service.client.clients import AsyncClient, Client
from service.client.messages import (
    BatchRecord,
    ClientError,
    CutShortError,
    NamedUpload,
    RefusedError,
    UnreachableError,
    Upload,
)

__all__ = [
    "AsyncClient",
    "BatchRecord",
    "Client",
    "ClientError",
    "CutShortError",
    "NamedUpload",
    "RefusedError",
    "UnreachableError",
    "Upload",
]
