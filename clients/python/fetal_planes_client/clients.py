"""The two clients. `Client` holds the methods; `AsyncClient` has them as coroutines."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, cast

import httpx2

from fetal_planes_client import messages
from fetal_planes_client.corrections import CorrectionMethods
from fetal_planes_client.credentials import find_auth
from fetal_planes_client.errors import CutShortError
from fetal_planes_client.messages import BatchRecord, ClientRequest, ExamOptions
from fetal_planes_client.types.answers import Classification, ExplainedClassification
from fetal_planes_client.types.batch import BatchEnd
from fetal_planes_client.types.exam import ExamReport
from fetal_planes_client.types.manifest import Manifest
from fetal_planes_client.types.protocols import Protocols
from fetal_planes_client.uploads import Upload

PictureType = Literal["image/jpeg", "image/png"]
Level = float | None  # coverage of a prediction set, 0.5 to 1; None asks for no set
Limit = int | None  # number of frames of a file

P = ParamSpec("P")
T = TypeVar("T")


class Client(CorrectionMethods):
    """Sends requests and waits for their answers.

    Parameters
    ----------
    url
        Address of the service, such as `http://127.0.0.1:8000`. It may contain a path prefix.
    api_key
        API key, for a service that needs one. Without it, credentials for the host in `.netrc` are sent.
    timeout_s
        Seconds for each network operation: connect, write, read.
    tries
        Maximum number of attempts of a request while the service answers 503.
    transport
        Replaces the network, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60,
        tries: int = 8,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {} if api_key is None else {"X-API-Key": api_key}
        self._tries = tries
        with messages.own_errors():
            auth = find_auth(url, api_key)
            self._http = httpx2.Client(base_url=url, headers=headers, auth=auth, timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(self, frame: Upload, *, index: int = 0, top: int = 2, set_level: Level = None) -> Classification:
        """Return the most probable planes of a frame; with `set_level`, also a set of planes. Raises `RefusedError`."""
        request = messages.frame_request("classify", frame, frame=index, top=top, set=set_level)
        return self._read(request, Classification.model_validate_json)

    def explain(
        self, frame: Upload, *, index: int = 0, target: str | None = None, set_level: Level = None
    ) -> ExplainedClassification:
        """Return the classification of a frame with a heat map, without an overlay. Raises `RefusedError`."""
        request = messages.frame_request("explain", frame, frame=index, overlay=False, target=target, set=set_level)
        return self._read(request, ExplainedClassification.model_validate_json)

    def overlay(
        self, frame: Upload, *, index: int = 0, target: str | None = None, media_type: PictureType = "image/jpeg"
    ) -> bytes:
        """Return the frame with its heat map as an encoded picture. Raises `RefusedError`."""
        request = messages.frame_request("explain", frame, frame=index, target=target)
        return self._read(request._replace(accept=media_type), bytes)

    def classify_batch(
        self,
        files: Iterable[Upload],
        *,
        every: int = 1,
        limit: Limit = None,
        fps: float | None = None,
        top: int = 2,
        set_level: Level = None,
    ) -> Iterator[BatchRecord]:
        """Yield a record per frame in order, then the summary. Raises `RefusedError` and `CutShortError`."""
        record: BatchRecord | None = None
        request = messages.batch_request(files, every=every, limit=limit, fps=fps, top=top, set=set_level)
        with closing(self._open(request)) as reply:
            try:
                for line in reply.iter_lines():
                    yield (record := messages.read_record(line))
            except httpx2.RequestError as error:
                raise CutShortError("The reply broke off.") from error
        if not isinstance(record, BatchEnd):
            raise CutShortError("The reply ended before its last line.")

    def exam(self, files: Iterable[Upload], **options: Unpack[ExamOptions]) -> ExamReport:
        """Return an exam: its frames by plane, and its protocol. Raises `RefusedError`.

        Parameters
        ----------
        files
            All files of the exam.
        protocol
            Id of the protocol that the exam should fulfill; see `protocols`. Default: that of the service.
        every, limit
            Classify every n-th frame of each file, and at most `limit` of them.
        fps
            Classify this many frames of each second of a video or a loop that states times, instead of every n-th.
        chosen
            Frames that a person prefers to the most probable one of their plane: the index of the file in `files` and
            the index of the frame in the file, both from 0.
        corrected
            What a person says of frames: both indices, and the ids of plane and sub-plane or None for none.
        unread
            Number of further files of the exam that are not in `files`: the exam is not complete then.
        """
        request = messages.exam_request(files, **options)
        return self._read(request, ExamReport.model_validate_json)

    def exam_page(self, files: Iterable[Upload], **options: Unpack[ExamOptions]) -> str:
        """Return the sorted exam as an HTML page; parameters as in `exam`. Raises `RefusedError`."""
        request = messages.exam_request(files, **options)
        return self._read(request._replace(accept="text/html"), bytes.decode)

    def model(self) -> Manifest:
        """Return the manifest of the served model. Raises `RefusedError`."""
        return self._read(ClientRequest("GET", "model", {}), Manifest.model_validate_json)

    def protocols(self) -> Protocols:
        """Return the protocols of exams, and the id of the default. Raises `RefusedError`."""
        return self._read(ClientRequest("GET", "protocols", {}), Protocols.model_validate_json)

    def _read(self, request: ClientRequest, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of the reply's body."""
        with messages.own_errors(), closing(self._open(request)) as reply:
            return read(reply.read())

    def _open(self, request: ClientRequest) -> httpx2.Response:
        """Return the first successful reply to a request, with its body unread."""
        attempt = 1
        with messages.own_errors():
            while not (reply := self._http.send(request.build(self._http), stream=True)).is_success:
                reply.read()
                time.sleep(messages.pause_s(reply, self._tries - attempt))
                attempt += 1
        return reply


def _awaitable(
    method: Callable[Concatenate[Client, P], T],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """Return a method of `Client` unchanged. It returns what `_read` returns: here, a coroutine."""
    return cast("Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]", method)


class AsyncClient:
    """Sends requests without blocking the event loop. Parameters and methods are those of `Client`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60,
        tries: int = 8,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {} if api_key is None else {"X-API-Key": api_key}
        self._tries = tries
        with messages.own_errors():
            auth = find_auth(url, api_key)
            self._http = httpx2.AsyncClient(
                base_url=url, headers=headers, auth=auth, timeout=timeout_s, transport=transport
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    classify = _awaitable(Client.classify)
    explain = _awaitable(Client.explain)
    overlay = _awaitable(Client.overlay)
    exam = _awaitable(Client.exam)
    exam_page = _awaitable(Client.exam_page)
    model = _awaitable(Client.model)
    protocols = _awaitable(Client.protocols)
    correct = _awaitable(Client.correct)
    corrections = _awaitable(Client.corrections)
    erase_corrections = _awaitable(Client.erase_corrections)
    keep_frame = _awaitable(Client.keep_frame)

    async def classify_batch(
        self,
        files: Iterable[Upload],
        *,
        every: int = 1,
        limit: Limit = None,
        fps: float | None = None,
        top: int = 2,
        set_level: Level = None,
    ) -> AsyncIterator[BatchRecord]:
        """See `Client.classify_batch`."""
        record: BatchRecord | None = None
        request = messages.batch_request(files, every=every, limit=limit, fps=fps, top=top, set=set_level)
        async with aclosing(await self._open(request)) as reply:
            try:
                async for line in reply.aiter_lines():
                    yield (record := messages.read_record(line))
            except httpx2.RequestError as error:
                raise CutShortError("The reply broke off.") from error
        if not isinstance(record, BatchEnd):
            raise CutShortError("The reply ended before its last line.")

    async def _read(self, request: ClientRequest, read: Callable[[bytes], T]) -> T:
        with messages.own_errors():
            async with aclosing(await self._open(request)) as reply:
                return read(await reply.aread())

    async def _open(self, request: ClientRequest) -> httpx2.Response:
        attempt = 1
        with messages.own_errors():
            while not (reply := await self._http.send(request.build(self._http), stream=True)).is_success:
                await reply.aread()
                await asyncio.sleep(messages.pause_s(reply, self._tries - attempt))
                attempt += 1
        return reply
