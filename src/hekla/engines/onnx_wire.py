"""Finds what an ONNX file says about other files, without reading the tensors in it.

An ONNX file is one protobuf message. On the wire a message is a row of fields:

    offset  size      meaning
    0       1-10      key, a varint: field number << 3 | wire type
    then    1-10      wire type 0: the value, a varint
            8 / 4     wire type 1 / 5: the value
            1-10 + n  wire type 2: length n as a varint, then n bytes: text, raw data or a message

Only wire type 2 can hold a message, so everything else is stepped over, weights included: a walk costs about a
microsecond per field and touches no page of weights. Source: protobuf.dev/programming-guides/encoding; field
numbers from onnx.proto3 of ONNX 1.17 (a test compares the table with the installed `onnx`).
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

Bytes = bytes | mmap.mmap

# message: {field number: message in that field}; every way from a model to a tensor.
CHILDREN: dict[str, dict[int, str]] = {
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
}
_SEARCHED_BYTES = 16 << 20
_EXTERNAL_DATA = 13  # of TensorProto: repeated {1: key, 2: value}


class WireError(ValueError):
    """The bytes are not a protobuf message."""


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Where one tensor's bytes lie outside the ONNX file. All values as written, unchecked."""

    entries: tuple[tuple[bytes, bytes], ...]


def external_data(model: Bytes) -> Iterator[ExternalData]:
    """Yield the external-data entries of every tensor: initialisers, attributes, nested graphs, functions.

    `data_location` is not consulted: whoever writes such entries is held to them.
    Errors: WireError where the bytes are not a protobuf message.
    """
    # Each such entry must spell its key. A search costs by the byte, a walk by the field: small files are searched.
    if len(model) <= _SEARCHED_BYTES and model.find(b"location") < 0:
        return
    waiting: list[tuple[str, int, int]] = [("ModelProto", 0, len(model))]
    while waiting:
        message, start, end = waiting.pop()
        if message == "TensorProto":
            if entries := tuple(_entry(model, a, b) for a, b in _inside(model, (start, end), _EXTERNAL_DATA)):
                yield ExternalData(entries)
            continue
        children = CHILDREN[message]
        waiting += [(children[n], a, b) for n, a, b in _spans(model, start, end) if n in children]


def unranked_values(model: Bytes) -> frozenset[str]:
    """Return the graph's inputs and outputs for which the file states no rank (which is not the same as rank 0)."""
    names: set[str] = set()
    for graph in _inside(model, (0, len(model)), 7):
        for value in (*_inside(model, graph, 11), *_inside(model, graph, 12)):  # ValueInfoProto
            # .type = 2, TypeProto.tensor_type = 1, Tensor.shape = 2
            shapes = [
                s for type_ in _inside(model, value, 2) for t in _inside(model, type_, 1) for s in _inside(model, t, 2)
            ]
            if not shapes:
                names.update(bytes(model[a:b]).decode("utf-8", "replace") for a, b in _inside(model, value, 1))
    return frozenset(names)


def _inside(model: Bytes, span: tuple[int, int], wanted: int) -> list[tuple[int, int]]:
    return [(start, end) for number, start, end in _spans(model, *span) if number == wanted]


def _entry(model: Bytes, start: int, end: int) -> tuple[bytes, bytes]:
    key = value = b""
    for number, a, b in _spans(model, start, end):
        if number == 1:
            key = model[a:b]
        elif number == 2:
            value = model[a:b]
    return key, value


def _spans(model: Bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, start, end) of each length-delimited field of the message in [position, end)."""
    while position < end:
        key, position = _varint(model, position, end)
        wire_type = key & 7
        if wire_type == 2:
            length, position = _varint(model, position, end)
            if length > end - position:
                raise WireError(f"a field at byte {position} is longer than what holds it")
            yield key >> 3, position, position + length
            position += length
        elif wire_type == 0:
            _, position = _varint(model, position, end)
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        else:  # groups (3, 4): ONNX has none
            raise WireError(f"a field before byte {position} has wire type {wire_type}")
    if position != end:
        raise WireError(f"a message ends at byte {position}, not {end}")


def _varint(model: Bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = model[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError(f"a number at byte {position} does not end")
