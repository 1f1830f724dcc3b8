"""Inference with tritonclient, unchanged: every element type, both encodings, both protocols, blocking and asyncio."""

import ml_dtypes
import numpy as np
import pytest
from tests.conformance.triton_clients import TritonClient, status_of
from tritonclient.utils import InferenceServerException

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array

_ROW = np.arange(16, dtype=np.int32)[None]
_ONES = np.ones((1, 16), np.int32)
_SIMPLE = {"INPUT0": _ROW, "INPUT1": _ONES}


def _values(dtype: DType) -> Array:
    """Return (2, 3) elements, the extremes of the type among them."""
    if dtype is DType.BYTES:
        return np.array([[b"", b"a", "grüße".encode()], [b"he\x00llo", b"x" * 300, b"2"]], np.object_)
    if dtype is DType.BOOL:
        return np.array([[True, False, True], [False, False, True]])
    if dtype.is_float:
        limits = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]  # ml_dtypes leaves it untyped
        numbers = [0.0, -0.5, float(limits.max), float(limits.min), float(limits.tiny), 3.0]
        return np.array(numbers, dtype.numpy).reshape(2, 3)
    extremes = np.iinfo(dtype.numpy)
    return np.array([0, 1, 2, extremes.max, extremes.min, 100], dtype.numpy).reshape(2, 3)


@pytest.mark.parametrize("dtype", DType)
def test_every_element_type_comes_back_as_it_was_sent(client: TritonClient, dtype: DType) -> None:
    sent = _values(dtype)
    answer = client.infer(f"identity_{dtype.value.lower()}", {"INPUT0": sent})
    assert answer["OUTPUT0"].dtype == sent.dtype
    assert answer["OUTPUT0"].tolist() == sent.tolist()


@pytest.mark.parametrize("dtype", [dtype for dtype in DType if dtype is not DType.BF16])
def test_json_tensors_come_back_as_they_were_sent(http_client: TritonClient, dtype: DType) -> None:
    sent = _values(dtype)
    answer = http_client.infer(f"identity_{dtype.value.lower()}", {"INPUT0": sent}, ["OUTPUT0"], binary=False)
    got = answer["OUTPUT0"]
    if dtype is DType.BYTES:  # JSON has text only: the client hands out str
        assert [str(x).encode() for x in got.ravel()] == sent.ravel().tolist()
    else:
        assert got.dtype == sent.dtype
        assert got.tolist() == sent.tolist()


@pytest.mark.parametrize("dtype", [DType.FP16, DType.BF16, DType.FP32, DType.FP64])
def test_nan_and_infinity_pass_in_binary(client: TritonClient, dtype: DType) -> None:
    sent = np.array([[np.nan, np.inf, -np.inf, -0.0]], dtype.numpy)
    answer = client.infer(f"identity_{dtype.value.lower()}", {"INPUT0": sent})
    assert answer["OUTPUT0"].tobytes() == sent.tobytes()


def test_bytes_that_are_no_text_pass_in_binary(client: TritonClient) -> None:
    sent = np.array([[b"\xff\xfe\x00", bytes(range(256))]], np.object_)
    answer = client.infer("simple_identity", {"INPUT0": sent})
    assert answer["OUTPUT0"].tolist() == sent.tolist()


@pytest.mark.parametrize("dtype", [DType.FP32, DType.INT64, DType.BOOL, DType.BYTES])
@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_empty_tensors_keep_their_shape(client: TritonClient, dtype: DType, shape: tuple[int, int]) -> None:
    sent = np.empty(shape, dtype.numpy)
    answer = client.infer(f"identity_{dtype.value.lower()}", {"INPUT0": sent})
    assert answer["OUTPUT0"].shape == shape


def test_several_outputs_come_in_the_models_order(client: TritonClient) -> None:
    answer = client.infer("simple", _SIMPLE)
    assert list(answer) == ["OUTPUT0", "OUTPUT1"]
    assert answer["OUTPUT0"].tolist() == (_ROW + _ONES).tolist()
    assert answer["OUTPUT1"].tolist() == (_ROW - _ONES).tolist()


@pytest.mark.parametrize("wanted", [["OUTPUT1"], ["OUTPUT0"], ["OUTPUT1", "OUTPUT0"]])
def test_only_requested_outputs_come_in_the_order_asked(client: TritonClient, wanted: list[str]) -> None:
    answer = client.infer("simple", _SIMPLE, wanted)
    assert list(answer) == wanted
    if "OUTPUT1" in answer:
        assert answer["OUTPUT1"].tolist() == (_ROW - _ONES).tolist()


def test_rows_are_answered_in_their_order(client: TritonClient) -> None:
    rows = np.arange(8 * 16, dtype=np.int32).reshape(8, 16)
    answer = client.infer("simple", {"INPUT0": rows, "INPUT1": rows})
    assert answer["OUTPUT0"].tolist() == (rows * 2).tolist()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False)])
def test_binary_and_json_mix_in_one_request(http_client: TritonClient, first: bool, second: bool) -> None:
    inputs = [http_client.input("INPUT0", _ROW, first), http_client.input("INPUT1", _ONES, second)]
    outputs = [http_client.requested("OUTPUT0", second), http_client.requested("OUTPUT1", first)]
    result = http_client.call("infer", "simple", inputs, outputs=outputs)
    assert result.as_numpy("OUTPUT0").tolist() == (_ROW + _ONES).tolist()
    assert result.as_numpy("OUTPUT1").tolist() == (_ROW - _ONES).tolist()


def test_numbers_written_as_text_are_added(client: TritonClient) -> None:
    text = np.array([[str(x).encode() for x in range(16)]], np.object_)
    answer = client.infer("simple_string", {"INPUT0": text, "INPUT1": text})
    assert [int(x) for x in answer["OUTPUT0"][0]] == [2 * x for x in range(16)]


def test_the_request_id_comes_back(client: TritonClient) -> None:
    result = client.result("simple", _SIMPLE, request_id="grüße-42")
    response = result.get_response()
    assert (response["id"] if client.is_http else response.id) == "grüße-42"


def test_model_name_and_version_are_answered(client: TritonClient) -> None:
    response = client.result("simple", _SIMPLE, model_version="1").get_response()
    found = (
        (response["model_name"], response["model_version"])
        if client.is_http
        else (response.model_name, response.model_version)
    )
    assert found == ("simple", "1")


def test_free_parameters_and_headers_are_accepted(client: TritonClient) -> None:
    answer = client.infer(
        "simple", _SIMPLE, parameters={"text": "x", "number": 3, "truth": True}, headers={"x-one": "1", "x-two": "2"}
    )
    assert answer["OUTPUT0"].tolist() == (_ROW + _ONES).tolist()


def test_a_priority_and_a_generous_timeout_are_accepted(client: TritonClient) -> None:
    answer = client.infer("simple", _SIMPLE, priority=1, timeout=30_000_000)
    assert answer["OUTPUT0"].tolist() == (_ROW + _ONES).tolist()


def test_classification_is_refused_clearly(client: TritonClient) -> None:
    inputs = [client.input(name, array) for name, array in _SIMPLE.items()]
    with pytest.raises(InferenceServerException) as caught:
        client.call("infer", "simple", inputs, outputs=[client.requested("OUTPUT0", class_count=3)])
    assert status_of(caught.value) in ("501", "UNIMPLEMENTED")
    assert "classification" in str(caught.value.message())


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_http_bodies_may_be_compressed_both_ways(http_client: TritonClient, algorithm: str) -> None:
    answer = http_client.infer(
        "simple", _SIMPLE, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
    )
    assert answer["OUTPUT0"].tolist() == (_ROW + _ONES).tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_grpc_messages_may_be_compressed(grpc_client: TritonClient, algorithm: str) -> None:
    answer = grpc_client.infer("simple", _SIMPLE, compression_algorithm=algorithm)
    assert answer["OUTPUT0"].tolist() == (_ROW + _ONES).tolist()


def test_a_large_tensor_crosses_every_frame_boundary(client: TritonClient) -> None:
    sent = np.random.default_rng(7).standard_normal((251, 1031), np.float32)  # (251, 1031) f32: about 1 MB
    answer = client.infer("identity_fp32", {"INPUT0": sent})
    assert np.array_equal(answer["OUTPUT0"], sent)
