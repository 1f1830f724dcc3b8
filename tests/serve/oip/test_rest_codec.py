"""REST requests as tritonclient encodes them, answers as it decodes them, and the words of every refusal."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest
import tritonclient.http
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.tensor import Array
from hekla.serve.oip.rest_plan import RestPlans
from hekla.serve.oip.rest_request import Wanted, decode_infer
from hekla.serve.oip.rest_response import encode_infer
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest, InferResponse

REGIONS = SharedMemoryRegions()


def decode(body: bytes, json_bytes: int | None = None) -> tuple[InferRequest, Wanted]:
    return decode_infer("m", "", memoryview(body), json_bytes, REGIONS)


def same(left: Array, right: Array) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and bytes(left.tobytes()) == right.tobytes()


def by_plan(body: bytes, json_bytes: int | None, request: InferRequest, wanted: Wanted) -> InferRequest:
    """Return the same request as the plan that is learned from it reads it; itself where there is none."""
    plans = RestPlans()
    with np.errstate(over="ignore"):  # what overflows is read in full, and refused there
        plans.learn(memoryview(body), json_bytes, request, wanted)
        matched = plans.match(memoryview(body), json_bytes)
        return (matched[0].read(matched[1]) if matched is not None else None) or request


@st.composite
def _arrays(draw: st.DrawFn) -> tuple[DType, Array]:
    dtype = draw(st.sampled_from(list(DType)))
    shape = draw(st.lists(st.integers(0, 4), max_size=4).map(tuple))
    if dtype is DType.BYTES:
        count = int(np.prod(shape))
        array = np.empty(count, np.object_)
        array[:] = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
        return dtype, array.reshape(shape)
    if dtype is DType.BOOL:
        return dtype, draw(arrays_of.arrays(np.bool_, shape))
    bits = draw(arrays_of.arrays(np.dtype(f"u{dtype.itemsize}"), shape))
    return dtype, bits.view(dtype.numpy)  # every bit pattern: the extremes, NaN, infinities


def _tensor(name: str, dtype: DType, array: Array, *, binary: bool) -> Any:  # tritonclient is untyped
    tensor = tritonclient.http.InferInput(name, list(array.shape), dtype.value)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


@settings(max_examples=150, deadline=None)
@given(st.lists(_arrays(), min_size=1, max_size=4))
def test_what_tritonclient_sends_in_binary_is_what_is_read(
    given_arrays: list[tuple[DType, Array]],
) -> None:
    tensors = {f"t{index}": pair for index, pair in enumerate(given_arrays)}
    inputs = [_tensor(name, dtype, array, binary=True) for name, (dtype, array) in tensors.items()]
    body, json_bytes = tritonclient.http.InferenceServerClient.generate_request_body(inputs, request_id="7")
    request, wanted = decode(body, json_bytes)
    assert (request.id, wanted.all_binary) == ("7", True)
    assert list(request.inputs) == list(tensors)
    for name, (dtype, array) in tensors.items():
        for read in (request, by_plan(body, json_bytes, request, wanted)):
            if dtype is DType.BYTES:
                assert read.inputs[name].tolist() == array.tolist()
            else:
                assert same(read.inputs[name], array)


@settings(max_examples=150, deadline=None)
@given(_arrays(), st.data())
def test_numbers_in_json_are_read_as_they_were_written(pair: tuple[DType, Array], data: st.DataObject) -> None:
    dtype, array = pair
    if dtype is DType.BYTES:
        array = np.array([f"é{index}".encode() for index in range(array.size)], object).reshape(array.shape)
    elif dtype.is_float:
        array = np.where(np.isfinite(array), array, dtype.numpy.type(0)).astype(dtype.numpy)
    flat = data.draw(st.booleans())
    values = (array.reshape(-1) if flat else array).astype("f8" if dtype.is_float else array.dtype).tolist()
    values = [values] if array.shape == () and not flat else values
    text = json.dumps(values, default=bytes.decode)  # the standard library's encoder, not ours
    tensor = f'{{"name": "x", "datatype": "{dtype.value}", "shape": {list(array.shape)}, "data": {text}}}'
    body = f'{{"inputs": [{tensor}]}}'.encode()
    request, wanted = decode(body)
    for read in (request, by_plan(body, None, request, wanted)):
        found = read.inputs["x"]
        assert found.tolist() == array.tolist() if dtype is DType.BYTES else same(found, array)


@settings(max_examples=150, deadline=None)
@given(st.lists(_arrays(), min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_what_is_answered_is_what_tritonclient_reads(
    given_arrays: list[tuple[DType, Array]], kinds: list[bool]
) -> None:
    outputs: dict[str, Array] = {}
    for index, (dtype, array) in enumerate(given_arrays):
        if not kinds[index]:  # as JSON, which carries neither NaN nor bytes that are no text
            if dtype is DType.BYTES:
                array = np.array([b"x"] * array.size, object).reshape(array.shape)
            elif dtype.is_float:
                array = np.where(np.isfinite(array), array, dtype.numpy.type(1)).astype(dtype.numpy)
        outputs[f"t{index}"] = array
    binary = frozenset(f"t{index}" for index in range(len(given_arrays)) if kinds[index])
    response = encode_infer(InferResponse("m", "1", outputs, "id"), Wanted(binary=binary), REGIONS)
    headers = dict(response.headers)
    length = headers.get(b"inference-header-content-length")
    result = tritonclient.http.InferResult.from_response_body(
        b"".join(response.body), header_length=int(length) if length else None
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == list(outputs)
    for name, array in outputs.items():
        found = result.as_numpy(name)
        if found.dtype == np.object_:
            assert [x if isinstance(x, bytes) else x.encode() for x in found.reshape(-1)] == array.reshape(-1).tolist()
        elif array.dtype == ml_dtypes.bfloat16:
            assert np.array_equal(found, array.astype("f4"), equal_nan=True)
        else:
            assert same(found, array)
        assert found.shape == array.shape


@pytest.mark.parametrize("dtype", [dtype for dtype in DType if dtype.is_float])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_json_cannot_carry_is_refused_and_the_cure_told(dtype: DType, value: float) -> None:
    array = np.array([[1, value]]).astype(dtype.numpy)
    answer = InferResponse("m", "1", {"null": np.array([[1]]), "y": array})
    with pytest.raises(EngineError) as caught:
        encode_infer(answer, Wanted(), REGIONS)
    assert str(caught.value) == (
        "output 'y': holds NaN or infinity, which JSON cannot carry; ask for it as binary_data"
    )
    assert encode_infer(answer, Wanted(all_binary=True), REGIONS).status == 200


def _x(**changes: object) -> dict[str, object]:
    tensor = {"name": "x", "datatype": "INT8", "shape": [1], "data": [1], **changes}
    return {"inputs": [{key: value for key, value in tensor.items() if value is not None}]}


_LONG = "x" * 5_000_000


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "$: the body must be a JSON object"),
        ({}, "$.inputs: must be a list of tensors"),
        ({"inputs": [1]}, "$.inputs[0]: must be an object"),
        ({"inputs": [], "input": []}, "$: unknown key 'input'; did you mean 'inputs'?"),
        ({"inputs": [], _LONG: 1}, f"$: unknown key '{'x' * 99}...; known: id, inputs, outputs, parameters"),
        ({"inputs": [{}] * 1025}, "$.inputs: the limit is 1024 tensors, got 1025"),
        (_x(name=7), "$.inputs[0].name: must be a string"),
        (_x(name=_LONG), "$.inputs[0].name: the limit is 1024 characters, got 5000000 characters"),
        (_x(datatype="FP8"), "$.inputs[0].datatype: expected datatype one of BOOL, UINT8, UINT16, UINT32, UINT64, "
         "INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES, got 'FP8'"),
        (_x(shape=1), "$.inputs[0].shape: must be a list of integers"),
        (_x(shape=[-1]), "$.inputs[0].shape: expected shape extents that are integers of 0 or more, got [-1]"),
        (_x(shape=[True]), "$.inputs[0].shape: expected shape extents that are integers of 0 or more, got [True]"),
        (_x(shape=[1] * 65), "$.inputs[0].shape: expected shape at most 64 axes, got 65 axes"),
        (_x(shape=[1 << 62] * 100_000), "$.inputs[0].shape: expected shape at most 64 axes, got 100000 axes"),
        (_x(shape=[0, 1 << 62]),
         f"$.inputs[0].shape: expected shape fewer than {1 << 59} elements, got [0, {1 << 62}]"),
        (_x(data=None), "$.inputs[0].data: must be a list of values"),
        (_x(data=[128]), "$.inputs[0]: a value does not fit INT8"),
        (_x(data=[1.5]), "$.inputs[0]: the data of a INT8 tensor must be integers"),
        (_x(data=[True]), "$.inputs[0]: the data of a INT8 tensor must be integers"),
        (_x(data=[1, 2]), "$.inputs[0]: expected 1 elements for shape [1], got 2"),
        (_x(parameters=[]), "$.inputs[0].parameters: must be an object"),
        (_x(parameters={"a": None}), "$.inputs[0].parameters.a: must be a string, a number or a boolean"),
        (_x(parameters={"binary_data_size": 1}, data=None), "$.inputs[0].parameters.binary_data_size: there is no "
         "binary data; set the header Inference-Header-Content-Length"),
        (_x(parameters={"binary_data_size": -1}), "$.inputs[0].parameters.binary_data_size: must be a whole number of "
         "0 or more, got -1"),
        (_x(parameters={"shared_memory_region": 1}), "$.inputs[0].parameters.shared_memory_region: must be a string"),
        (_x(parameters={"shared_memory_region": "r"}), "$.inputs[0].parameters.shared_memory_byte_size: is missing"),
        (_x(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 4}),
         "$.inputs[0].data: the tensor is given in two ways; leave `data` out"),
        ({"inputs": [_x()["inputs"][0], _x()["inputs"][0]]}, "$.inputs[1].name: input 'x' is given twice"),  # type: ignore[index]  # a list
        ({**_x(), "id": 1}, "$.id: must be a string"),
        ({**_x(), "parameters": []}, "$.parameters: must be an object"),
        ({**_x(), "parameters": {"timeout": -1}}, "$.parameters.timeout: must be a whole number of 0 or more, got -1"),
        ({**_x(), "parameters": {"priority": _LONG}}, "$.parameters.priority: must be a whole number of 0 or more, got "
         f"'{'x' * 99}..."),
        ({**_x(), "parameters": {"sequence_id": 1.5}}, "$.parameters.sequence_id: must be an integer or a string"),
        ({**_x(), "parameters": {"sequence_id": _LONG}}, "$.parameters.sequence_id: the limit is 1024 characters, got "
         "5000000 characters"),
        ({**_x(), "parameters": {"sequence_id": 1, "sequence_start": 1}}, "$.parameters.sequence_start: must be true "
         "or false, got 1"),
        ({**_x(), "parameters": {"binary_data_output": 1}}, "$.parameters.binary_data_output: must be true or false"),
        ({**_x(), "outputs": {}}, "$.outputs: must be a list of outputs"),
        ({**_x(), "outputs": [1]}, "$.outputs[0]: must be an object"),
        ({**_x(), "outputs": [{}]}, "$.outputs[0].name: must be a string"),
        ({**_x(), "outputs": [{"name": "y", "data": []}]}, "$.outputs[0]: unknown key 'data'; known: name, parameters"),
        ({**_x(), "outputs": [{"name": "y", "parameters": 1}]}, "$.outputs[0].parameters: must be an object"),
        ({**_x(), "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "$.outputs[0].parameters.binary_data: "
         "must be true or false"),
        ({**_x(), "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "$.outputs[0].parameters."
         "classification: the classification extension is not supported; ask for the tensor and sort it"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_and_what(document: object, words: str) -> None:
    with pytest.raises(HeklaError) as caught:
        decode(orjson.dumps(document))
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("body", "json_bytes", "words"),
    [
        (b"{}", 3, "header Inference-Header-Content-Length: says 3 bytes of JSON, but the body has 2"),
        (b'{"inputs":[]}ab', 13, "request body: 2 bytes follow the last binary tensor"),
        (b'{"inputs":[', None, "$: the body is not JSON: "),
        (b"[" * 100_000, None, "$: the body is not JSON: "),
        (b'{"inputs":' + b"[" * 1000 + b"]" * 1000 + b"}", None, "$.inputs[0]: must be an object"),
        (
            b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":' + b"[" * 1000 + b"]" * 1000 + b"}]}",
            None,
            "$.inputs[0]: the data are nested more than 64 deep",
        ),
        (b'{"inputs":[{"name":"\xff"}]}', None, "$: the body is not JSON: "),
    ],
    ids=["header too long", "bytes left", "cut", "depth bomb", "nested inputs", "nested data", "not UTF-8"],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, json_bytes: int | None, words: str) -> None:
    with pytest.raises(HeklaError) as caught:
        decode(body, json_bytes)
    assert str(caught.value).startswith(words)


def test_the_largest_and_smallest_whole_numbers_pass() -> None:
    for dtype in (DType.UINT64, DType.INT64, DType.UINT8, DType.INT8):
        limits = np.iinfo(dtype.numpy)
        body = orjson.dumps(_x(datatype=dtype.value, shape=[3], data=[limits.min, 0, limits.max]))
        assert decode(body)[0].inputs["x"].tolist() == [limits.min, 0, limits.max]
