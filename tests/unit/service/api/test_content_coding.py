"""Compressed bodies: any bytes in any pieces come out as they were, and none expands without limit."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import Message

from service.api.content_coding import MAX_RATIO, decoded
from service.errors import MalformedRequest, UnsupportedEncoding, UploadTooLarge


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]) + bytes(7)


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("X-GZIP", gzip.compress),
    ("gzip", members),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity, deflate", zlib.compress),
]


def read(coding: str, body: bytes, size: int = 65536) -> bytes:
    """Return the whole decompressed body; `size` is that of the pieces in which the compressed one comes."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def collect() -> bytes:
        source = decoded(Headers({"content-encoding": coding}), receive)
        whole, more = b"", True
        while more:
            message = await source()
            whole, more = whole + message["body"], message["more_body"]
            assert len(message["body"]) <= 2**20
        return whole

    return asyncio.run(collect())


@given(st.binary(max_size=5_000), st.sampled_from(CODINGS), st.integers(1, 6_000))
def test_a_body_comes_out_as_it_was(data: bytes, coding: tuple[str, Callable[[bytes], bytes]], size: int) -> None:
    assert read(coding[0], coding[1](data), size) == data


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_a_large_body_comes_in_pieces(coding: str, compress: Callable[[bytes], bytes]) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(400_000))
    assert read(coding, compress(data)) == data


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_a_bomb_is_refused(coding: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UploadTooLarge, match=str(MAX_RATIO)):
        read(coding, compress(bytes(50_000_000)))
    assert read(coding, compress(bytes(2**20))) == bytes(2**20)  # a small black frame


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"nonsense"),
        ("gzip", gzip.compress(b"a" * 999)[:-9]),
        ("gzip", gzip.compress(b"a") + b"nonsense"),
        ("gzip", gzip.compress(b"") * 11_000),
        ("deflate", zlib.compress(b"a" * 999)[:-5]),
        ("deflate", zlib.compress(b"a") + b"more"),
    ],
    # By name: gzip writes the time into the body, and xdist's processes must find the same tests.
    ids=["nonsense", "cut", "more", "many members", "cut deflate", "more deflate"],
)
def test_a_damaged_body_is_refused(coding: str, body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(coding, body)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "x"])
def test_another_coding_is_refused_with_those_that_are_read(coding: str) -> None:
    with pytest.raises(UnsupportedEncoding) as refused:
        read(coding, b"")
    assert refused.value.headers == {"Accept-Encoding": "gzip, deflate"}


def test_an_empty_body_and_a_plain_one_pass() -> None:
    assert read("gzip", b"") == read("deflate", b"") == b""
    assert read("identity", b"abc") == read("", b"abc") == b"abc"
