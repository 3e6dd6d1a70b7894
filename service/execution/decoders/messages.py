"""The messages between the service and a decoder, one per packet; replies are JSON, checked on arrival.

Pictures, uploads and DICOM attributes travel through the arena, see `arena`. A decoder may have been taken over by a
hostile file: the service believes none of its numbers before it has checked them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import Field, NonNegativeInt, PositiveInt, TypeAdapter

from service.imaging.frame import MAX_SIDE
from service.imaging.letterbox import Crop, Picture, Preparation
from service.imaging.sector import Box
from service.schemas.answers import Format
from service.schemas.manifest import Preprocessing

MAX_MESSAGE = 64 * 1024
"""Bytes of the longest message."""


Source = Literal["arena", "file", "open", "none"]


class Request(NamedTuple):
    """Decode one frame, or forget the file that is open (`source` "none"); the latter has no reply.

    Attributes
    ----------
    source
        Where the bytes are: in the arena, in a file whose descriptor comes with this message, or in the file that this
        decoder has kept open since the last request.
    length
        Bytes in the arena or in the file.
    frame
        Its index, from 0.
    step
        Whether another decoder has read frames of this file. An animation is then decoded frame by frame up to this
        one: the limit on pixels counts the frames of one leap.
    preparation
        How to prepare the frame for the network; None for the frame itself.
    """

    source: Source
    length: int
    frame: int
    step: bool
    preparation: Preparation | None = None


Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


@dataclass(slots=True)
class OpenedFile:
    """What the header says; see `Frames`."""

    format: Format
    count: PositiveInt
    independent: bool
    max_pixels: PositiveInt
    steps: bool = False


@dataclass(slots=True)
class DecodedFrame:
    """What the service needs to take a frame out of the arena: the size of the frame, and lengths in bytes.

    A prepared frame has a crop, and no region. The times come once, with the first frame that a decoder reads of a
    file.
    """

    height: Side
    width: Side
    region: Box | None = None
    crop: Crop | None = None
    flow: Annotated[float, Field(ge=0, le=1)] = 0.0
    attributes: NonNegativeInt | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    times: NonNegativeInt | None = None


@dataclass(slots=True)
class Refusal:
    """A problem by its code."""

    code: str
    detail: str


@dataclass(slots=True)
class Reply:
    """The answer to a `Request`: the file unless it was refused as a whole, then the frame or a refusal.

    A reply with `large` or `space` is a question. The decoder continues after `GO`: it is about to use more memory than
    most, or needs an arena of `space` bytes to return the frame. After a reply with `ends` it ends.
    """

    file: OpenedFile | None = None
    frame: DecodedFrame | None = None
    problem: Refusal | None = None
    large: bool = False
    ends: bool = False
    space: NonNegativeInt | None = None


_REPLIES = TypeAdapter(Reply)


def encode_request(request: Request) -> bytes:
    """Return the message of a request: its fields, separated by spaces; `json` takes three times as long."""
    preparation = "" if request.preparation is None else _encode_preparation(*request.preparation)
    numbers = request.length, request.frame, request.step
    return b"%b %d %d %d %b" % (request.source.encode(), *numbers, preparation.encode())


@lru_cache(maxsize=16)
def _encode_preparation(preprocessing: Preprocessing, picture: Picture) -> str:
    return f"{picture} {preprocessing.model_dump_json()}"


def decode_request(message: bytes) -> Request:
    """Return the request of a message. It comes from the service, so it is not checked."""
    source, length, frame, step, preparation = message.decode().split(" ", 4)
    return Request(cast("Source", source), int(length), int(frame), step == "1", _decode_preparation(preparation))


@lru_cache(maxsize=16)
def _decode_preparation(text: str) -> Preparation | None:
    if not text:
        return None
    picture, preprocessing = text.split(" ", 1)
    return Preparation(Preprocessing.model_validate_json(preprocessing), cast("Picture", picture))


def encode_reply(reply: Reply) -> bytes:
    """Return the message of a reply."""
    return _REPLIES.dump_json(reply, exclude_defaults=True)


def decode_reply(message: bytes) -> Reply:
    """Return the reply of a message; raises pydantic's ValidationError where it is none."""
    return _REPLIES.validate_json(message)


GO = b"go"
