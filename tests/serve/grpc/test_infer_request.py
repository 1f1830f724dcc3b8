"""ModelInferRequest to arrays: what is taken, what is refused and where the error points."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.base.errors import DtypeError, HeklaError, InputError, ShapeError, TooLargeError, UnsupportedError
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.infer_request import InferRequestDecoder
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest


def decoder() -> InferRequestDecoder:
    return InferRequestDecoder(SharedMemoryRegions())


def message(
    datatype: str = "INT32", shape: tuple[int, ...] = (2,), raw: bytes | None = b"\1\0\0\0\2\0\0\0"
) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m")
    request.inputs.add(name="X", datatype=datatype, shape=shape)
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


def decode(request: pb.ModelInferRequest) -> InferRequest:
    return decoder().decode(request.SerializeToString())[0]


def test_the_same_head_again_is_parsed_once_and_gets_its_own_bytes_and_id() -> None:
    one = decoder()
    for number in range(3):
        request = message(raw=struct.pack("<ii", number, 7))
        request.id = f"r{number}"
        decoded, _ = one.decode(request.SerializeToString())
        assert (decoded.id, decoded.inputs["X"].tolist()) == (f"r{number}", [number, 7])
    assert len(one._plans) == 1


def test_a_head_is_not_mistaken_for_another_with_fewer_bytes_tensors() -> None:
    one = decoder()
    assert one.decode(message().SerializeToString())[0].inputs["X"].tolist() == [1, 2]
    with pytest.raises(InputError, match="expected 2 elements"):
        one.decode(message(raw=None).SerializeToString())
    request = message()
    request.raw_input_contents.append(b"more")
    with pytest.raises(InputError, match=r"\$\.raw_input_contents: expected 1 entries.*got 2"):
        one.decode(request.SerializeToString())
    assert one.decode(message().SerializeToString())[0].inputs["X"].tolist() == [1, 2]


TYPED = [
    ("BOOL", "bool_contents", [True, False]),
    ("INT8", "int_contents", [-128, 127]),
    ("INT16", "int_contents", [-5, 5]),
    ("INT32", "int_contents", [-(2**31), 1]),
    ("INT64", "int64_contents", [-(2**63), 1]),
    ("UINT8", "uint_contents", [255, 0]),
    ("UINT64", "uint64_contents", [2**64 - 1, 0]),
    ("FP32", "fp32_contents", [1.5, float("inf")]),
    ("FP64", "fp64_contents", [1e300, -0.0]),
    ("BYTES", "bytes_contents", [b"", b"\xff"]),
]


@pytest.mark.parametrize(("datatype", "name", "values"), TYPED, ids=[row[0] for row in TYPED])
def test_typed_contents_become_the_same_array(datatype: str, name: str, values: list[object]) -> None:
    request = message(datatype, raw=None)
    getattr(request.inputs[0].contents, name).extend(values)
    array = decode(request).inputs["X"]
    assert array.tolist() == values
    request.inputs[0].shape[0] = 3
    with pytest.raises(InputError, match=r"\$\.inputs\[0\]"):
        decode(request)


def test_an_empty_typed_tensor_needs_no_contents() -> None:
    assert decode(message("FP32", (0, 3), None)).inputs["X"].shape == (0, 3)


FAULTS: dict[str, Callable[[pb.ModelInferRequest], object]] = {
    "twice": lambda r: r.inputs.append(r.inputs[0]),
    "both": lambda r: r.inputs[0].contents.int_contents.extend([1, 2]),
    "too short": lambda r: r.raw_input_contents.__setitem__(0, b"1234567"),
    "datatype": lambda r: setattr(r.inputs[0], "datatype", "INT33"),
    "negative": lambda r: r.inputs[0].shape.__setitem__(0, -1),
    "overflow": lambda r: r.inputs[0].shape.append(4611686018427387904),
    "output twice": lambda r: [r.outputs.add(name="Y") for _ in range(2)],
    "classification": lambda r: setattr(r.outputs.add(name="Y").parameters["classification"], "int64_param", 3),
    "priority": lambda r: setattr(r.parameters["priority"], "string_param", "high"),
    "negative timeout": lambda r: setattr(r.parameters["timeout"], "int64_param", -1),
    "sequence start": lambda r: setattr(r.parameters["sequence_start"], "int64_param", 1),
    "sequence id": lambda r: setattr(r.parameters["sequence_id"], "double_param", 1.0),
    "long sequence id": lambda r: setattr(r.parameters["sequence_id"], "string_param", "x" * 2000),
    "no value": lambda r: r.parameters["x"].SetInParent(),
    "region type": lambda r: setattr(r.inputs[0].parameters["shared_memory_region"], "int64_param", 1),
    "region size": lambda r: setattr(r.inputs[0].parameters["shared_memory_region"], "string_param", "r"),
}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("twice", InputError, r"\$\.inputs\[1\]: input 'X' is given twice"),
        ("both", InputError, r"\$\.inputs\[0\]\.contents: contents field must not be .* for 'X' for model 'm'"),
        ("too short", InputError, r"\$\.inputs\[0\]: expected 8 bytes for INT32 of shape \[2\], got 7"),
        ("datatype", DtypeError, r"\$\.inputs\[0\]\.datatype: .*'INT33'"),
        ("negative", ShapeError, r"\$\.inputs\[0\]\.shape"),
        ("overflow", ShapeError, r"\$\.inputs\[0\]\.shape"),
        ("output twice", InputError, r"\$\.outputs\[1\]: output 'Y' is requested twice"),
        ("classification", UnsupportedError, r"\$\.outputs\[0\]\.parameters"),
        ("priority", InputError, r"\$\.parameters\.priority: must be a whole number"),
        ("negative timeout", InputError, r"\$\.parameters\.timeout"),
        ("sequence start", InputError, r"\$\.parameters\.sequence_start: must be true or false"),
        ("sequence id", InputError, r"\$\.parameters\.sequence_id"),
        ("long sequence id", TooLargeError, r"\$\.parameters\.sequence_id"),
        ("no value", InputError, r"\$\.parameters\.x: the parameter has no value"),
        ("region type", InputError, r"\$\.inputs\[0\]\.parameters\.shared_memory_region"),
        ("region size", InputError, r"\$\.inputs\[0\]\.parameters\.shared_memory_byte_size: is missing"),
    ],
)
def test_a_fault_is_named_with_its_place(change: str, kind: type[HeklaError], words: str) -> None:
    request = message()
    FAULTS[change](request)
    with pytest.raises(kind, match=words):
        decode(request)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_comes_raw_only(datatype: str) -> None:
    request = message(datatype, raw=None)
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    with pytest.raises(DtypeError, match=r"send raw bytes"):
        decode(request)


def test_values_in_the_field_of_another_type_are_refused() -> None:
    request = message("FP32", raw=None)
    request.inputs[0].contents.fp64_contents.extend([1, 2])
    with pytest.raises(InputError, match=r"contents\.fp64_contents: a FP32 tensor is sent in fp32_contents"):
        decode(request)


def test_fields_nobody_knows_are_skipped() -> None:
    unknown = b"\x98\x06\x05" + b"\xa2\x06\x03abc"  # field 99 as a number, field 100 as bytes
    data = unknown + message().SerializeToString() + unknown
    assert decoder().decode(data)[0].inputs["X"].tolist() == [1, 2]


def test_a_length_without_end_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="not a ModelInferRequest"):
        decoder().decode(b"\x0a" + b"\xff" * 3_000_000)


def test_a_memoryview_decodes_as_bytes_do() -> None:
    data = message().SerializeToString()
    assert decoder().decode(memoryview(data))[0].inputs["X"].tolist() == [1, 2]


@given(st.data())
def test_damaged_requests_are_refused_or_read_as_protobuf_reads_them(data: st.DataObject) -> None:
    request = message()
    request.id = "id"
    request.parameters["priority"].int64_param = 1
    damaged = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    said = bytes(damaged[:cut])
    try:
        decoded, _ = decoder().decode(said)
    except HeklaError:
        return
    parsed = pb.ModelInferRequest.FromString(said)
    assert (decoded.model, decoded.version, decoded.id) == (parsed.model_name, parsed.model_version, parsed.id)
    assert list(decoded.inputs) == [tensor.name for tensor in parsed.inputs]
    for array, raw in zip(decoded.inputs.values(), parsed.raw_input_contents, strict=False):
        assert np.asarray(array).dtype == object or array.tobytes() == raw
