"""Check that an ONNX graph holds all of its data: a tensor may refer to another file, which no hash covers.

ONNX Runtime would read such a file, relative to the working directory. The check walks over the fields of the
serialized form (https://protobuf.dev/programming-guides/encoding, messages of onnx.proto), so that the service needs no
`onnx`.
"""

from collections.abc import Iterator

# The fields through which a message reaches a tensor. A test compares them with the installed `onnx`.
TENSOR_PATHS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of TensorProto
MAX_FIELDS = 1_000_000  # the shipped classifier has some 7,000; the walk takes about a second for a million

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types; groups (3 and 4) do not occur in ONNX


class NotSelfContained(ValueError):  # noqa: N818 (the graph may be valid)
    """A graph refers to data outside itself, or cannot be checked. The message says which."""


def check_self_contained(graph: bytes) -> None:
    """Raise NotSelfContained where a tensor of the graph, its subgraphs or its functions has external data."""
    unread = [("ModelProto", 0, len(graph))]
    count = 0
    while unread:  # a list instead of recursion: graphs may nest deeply
        message, start, end = unread.pop()
        for number, wire_type, value, after in _fields(graph, start, end):
            count += 1
            if count > MAX_FIELDS:
                raise NotSelfContained(f"it has more than {MAX_FIELDS:,} fields")
            if message == "TensorProto" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
                raise NotSelfContained("a tensor keeps its data in another file (ONNX external data)")
            inner = TENSOR_PATHS[message].get(number) if wire_type == _BYTES else None
            if inner is not None:
                unread.append((inner, after - value, after))


def _fields(graph: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the number, wire type, value or length, and end of each field between two positions."""
    while at < end:
        key, at = _varint(graph, at, end)
        number, wire_type, value = key >> 3, key & 7, 0
        if wire_type == _VARINT:
            value, at = _varint(graph, at, end)
        elif wire_type == _BYTES:
            value, at = _varint(graph, at, end)
            at += value
        elif wire_type in (_FIXED_32, _FIXED_64):
            at += 4 if wire_type == _FIXED_32 else 8
        else:
            raise _malformed()
        # Parsers keep the lower 32 bits of a longer key; this one must not see another field than they do.
        if at > end or number == 0 or key >= 1 << 32:
            raise _malformed()
        yield number, wire_type, value, at


def _varint(graph: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an integer in base 128, lowest digits first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):  # at most ten bytes
        if at >= end:
            break
        byte = graph[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _malformed()


def _malformed() -> NotSelfContained:
    return NotSelfContained("it is not an ONNX graph in serialized form")
