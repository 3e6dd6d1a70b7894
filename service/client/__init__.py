"""A client of the service, typed, for programs: `Client`, and `AsyncClient` for those on an event loop.

Both wait and try again where the service says that it is busy (503), as long as its `Retry-After` asks.

::

    with Client("http://127.0.0.1:8000") as client:
        answer = client.classify(Path("frame.png"))
        for line in client.classify_batch([Path("a.dcm"), Path("b.dcm")]):
            ...
"""

from service.client.async_client import AsyncClient
from service.client.messages import BatchRecord, ClientError, CutShortError, RefusedError, Upload
from service.client.sync_client import Client

__all__ = ["AsyncClient", "BatchRecord", "Client", "ClientError", "CutShortError", "RefusedError", "Upload"]
