from collections.abc import Callable
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from service.inference.self_contained import (
    DATA_LOCATION,
    EXTERNAL_DATA,
    MAX_FIELDS,
    TENSOR_PATHS,
    NotSelfContained,
    check_self_contained,
)
from tests.support.phantom_package import Phantom


def tensor(*, location: Any = None, path: str | None = None) -> onnx.TensorProto:
    made = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    if location is not None:
        made.data_location = location
    if path is not None:
        made.external_data.add(key="location", value=path)
    return made


def graph(**parts: list[object]) -> onnx.GraphProto:
    made = onnx.GraphProto(name="g")
    for name, values in parts.items():
        getattr(made, name).extend(values)
    return made


def node(**values: object) -> onnx.NodeProto:
    attribute = onnx.AttributeProto(name="a")
    for name, value in values.items():
        field = getattr(attribute, name)
        if isinstance(value, list):
            field.extend(value)
        else:
            field.CopyFrom(value)
    return onnx.NodeProto(op_type="Op", attribute=[attribute])


def sparse(of: onnx.TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=of)


PLACES: dict[str, Callable[[onnx.TensorProto], onnx.ModelProto]] = {
    "initializer": lambda t: onnx.ModelProto(graph=graph(initializer=[t])),
    "sparse initializer": lambda t: onnx.ModelProto(graph=graph(sparse_initializer=[sparse(t)])),
    "indices of a sparse initializer": lambda t: onnx.ModelProto(
        graph=graph(sparse_initializer=[onnx.SparseTensorProto(indices=t)])
    ),
    "attribute": lambda t: onnx.ModelProto(graph=graph(node=[node(t=t)])),
    "attributes": lambda t: onnx.ModelProto(graph=graph(node=[node(tensors=[t])])),
    "sparse attribute": lambda t: onnx.ModelProto(graph=graph(node=[node(sparse_tensor=sparse(t))])),
    "sparse attributes": lambda t: onnx.ModelProto(graph=graph(node=[node(sparse_tensors=[sparse(t)])])),
    "subgraph": lambda t: onnx.ModelProto(graph=graph(node=[node(g=graph(initializer=[t]))])),
    "subgraphs": lambda t: onnx.ModelProto(graph=graph(node=[node(graphs=[graph(node=[node(t=t)])])])),
    "function": lambda t: onnx.ModelProto(functions=[onnx.FunctionProto(name="f", node=[node(t=t)])]),
    "default of a function's attribute": lambda t: onnx.ModelProto(
        functions=[onnx.FunctionProto(name="f", attribute_proto=[onnx.AttributeProto(name="a", t=t)])]
    ),
    "training": lambda t: onnx.ModelProto(
        training_info=[onnx.TrainingInfoProto(algorithm=graph(initializer=[t]), initialization=graph())]
    ),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize(
    "external", [tensor(location=1), tensor(path="weights.bin"), tensor(location=1, path="/etc/hostname")]
)
def test_external_data_is_found_wherever_a_tensor_can_be(
    place: Callable[[onnx.TensorProto], onnx.ModelProto], external: onnx.TensorProto
) -> None:
    check_self_contained(place(tensor()).SerializeToString())
    check_self_contained(place(tensor(location=0)).SerializeToString())
    with pytest.raises(NotSelfContained, match="external data"):
        check_self_contained(place(external).SerializeToString())


def test_deep_subgraphs_are_walked() -> None:
    inner = graph(initializer=[tensor(path="x")])
    for _ in range(25):
        inner = graph(node=[node(g=inner)])
    with pytest.raises(NotSelfContained, match="external data"):
        check_self_contained(onnx.ModelProto(graph=inner).SerializeToString())


def test_the_walk_knows_every_way_to_a_tensor() -> None:
    """A field that a new version of ONNX adds must be added here, too."""
    tensor_type = onnx.TensorProto.DESCRIPTOR
    assert tensor_type.fields_by_name["external_data"].number == EXTERNAL_DATA
    assert tensor_type.fields_by_name["data_location"].number == DATA_LOCATION
    found: dict[str, dict[int, str]] = {}

    def reaches_tensor(message: Any, seen: frozenset[str]) -> bool:
        if message.name == "TensorProto":
            return True
        inner = [field.message_type for field in message.fields if field.message_type is not None]
        return any(each.name not in seen and reaches_tensor(each, seen | {each.name}) for each in inner)

    def collect(message: Any) -> None:
        inner = {field.number: field.message_type for field in message.fields if field.message_type is not None}
        ways = {number: each for number, each in inner.items() if reaches_tensor(each, frozenset())}
        found[message.name] = {number: each.name for number, each in ways.items()}
        for each in ways.values():
            if each.name not in found:
                collect(each)

    collect(onnx.ModelProto.DESCRIPTOR)
    assert found == TENSOR_PATHS


@pytest.mark.parametrize(
    "contents",
    [
        b"nonsense",
        b"\x3a\x7f",  # a graph longer than the file
        b"\x08" + b"\xff" * 11,  # a number without an end
        b"\x0b\x0c",  # a group
        b"\x00\x01",  # field 0
        # A key of more than 32 bits, and parsers keep the lower ones: field 7.
        b"\xba\x80\x80\x80\x80\x01\x00",
    ],
)
def test_what_is_not_a_graph_is_refused(contents: bytes) -> None:
    with pytest.raises(NotSelfContained, match="not an ONNX graph"):
        check_self_contained(contents)


def test_the_walk_is_bounded() -> None:
    with pytest.raises(NotSelfContained, match="1,000,000 fields"):
        check_self_contained(b"\x08\x01" * (MAX_FIELDS + 1))


@given(st.binary(max_size=400))
def test_any_bytes_are_accepted_or_refused(contents: bytes) -> None:
    try:
        check_self_contained(contents)
    except NotSelfContained:
        return


@given(st.data())
def test_a_damaged_graph_is_accepted_or_refused(data: st.DataObject) -> None:
    contents = bytearray(Phantom()._explainer())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_self_contained(bytes(contents))
    except NotSelfContained:
        return
