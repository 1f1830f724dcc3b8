"""Requests read by plan mean what they would if read in full, and what might not has no plan."""

import numpy as np
import pytest
import tritonclient.http

from hekla.base.errors import EngineError
from hekla.serve.oip.rest_plan import RestPlans
from hekla.serve.oip.rest_request import Wanted, decode_infer
from hekla.serve.oip.rest_response import encode_like_last
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.request import InferRequest, InferResponse

_REGIONS = SharedMemoryRegions()


def _decode(body: bytes, json_bytes: int | None = None) -> tuple[InferRequest, Wanted]:
    return decode_infer("m", "", memoryview(body), json_bytes, _REGIONS)


def test_an_answer_by_plan_refuses_it_too() -> None:
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'
    request, wanted = _decode(body)
    plan = RestPlans().learn(memoryview(body), None, request, wanted)
    assert plan is not None
    fine = InferResponse("m", "1", {"y": np.ones(1, np.float32)})
    assert encode_like_last(fine, plan) is None
    assert encode_like_last(fine, plan) is not None
    with pytest.raises(EngineError, match="NaN or infinity"):
        encode_like_last(InferResponse("m", "1", {"y": np.full(1, np.nan, np.float32)}), plan)


def test_a_plan_keeps_no_body_alive() -> None:
    array = np.zeros(10_000, np.float32)
    tensor = tritonclient.http.InferInput("x", [10_000], "FP32")
    tensor.set_data_from_numpy(array)
    body, json_bytes = tritonclient.http.InferenceServerClient.generate_request_body([tensor])
    request, wanted = _decode(body, json_bytes)
    plan = RestPlans().learn(memoryview(body), json_bytes, request, wanted)
    assert plan is not None
    assert not plan.request.inputs


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1],"d\\u0061ta":[2]}]}',
        b'{"inputs":[{"name":"a\\"b","datatype":"INT8","shape":[1],"data":[1]}]}',
        b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]}],"inputs":[{"name":"x","datatype":"INT8",'
        b'"shape":[1],"data":[2]}]}',
        b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]}],"id":"' + b"i" * 10_000 + b'"}',
    ],
    ids=["hidden data", "escape", "inputs twice", "long"],
)
def test_a_request_that_could_mean_something_else_has_no_plan(body: bytes) -> None:
    request, wanted = _decode(body)
    assert RestPlans().learn(memoryview(body), None, request, wanted) is None


@pytest.mark.parametrize(
    ("datatype", "numbers"),
    [
        ("INT8", b"[1,2.0]"),
        ("INT8", b"[1,200]"),
        ("INT8", b"[1,2,3]"),
        ("INT8", b"[1,[2]]"),
        ("INT8", b"[1,true]"),
        ("UINT8", b"[1,-2]"),
        ("FP32", b"[1,1e39]"),
        ("FP32", b"[1,null]"),
        ("FP32", b"[1,2]]"),
        ("FP32", b'[1,"2"]'),
    ],
)
def test_numbers_that_are_not_plainly_right_are_left_to_be_read_in_full(datatype: str, numbers: bytes) -> None:
    start, stop = b'{"inputs":[{"name":"x","datatype":"%b","shape":[2],"data":' % datatype.encode(), b"}]}"
    plans = RestPlans()
    request, wanted = _decode(start + b"[1,2]" + stop)
    assert plans.learn(memoryview(start + b"[1,2]" + stop), None, request, wanted) is not None
    matched = plans.match(memoryview(start + b" [ 3, 4 ] " + stop), None)
    assert matched is not None
    read = matched[0].read(matched[1])
    assert read is not None
    assert read.inputs["x"].tolist() == [3, 4]
    with np.errstate(over="ignore"):
        matched = plans.match(memoryview(start + numbers + stop), None)
        assert matched is None or matched[0].read(matched[1]) is None
