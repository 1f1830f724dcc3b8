"""Further ways in which Triton's example programs ask: callbacks, channel options, typed contents, reused objects."""

import queue
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tests.conformance.triton_clients import TritonClient
from tests.running_server import RunningServer
from tritonclient import utils
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from hekla.protocols.tensor import Array

_ROW = np.arange(16, dtype=np.int32)[None]
_ONES = np.ones((1, 16), np.int32)


def _inputs(module: Any) -> list[Any]:  # tritonclient's own classes
    tensors = []
    for name, array in (("INPUT0", _ROW), ("INPUT1", _ONES)):
        tensors.append(module.InferInput(name, [1, 16], "INT32"))
        tensors[-1].set_data_from_numpy(array)
    return tensors


def _check(result: Any) -> None:  # tritonclient's own class
    assert result.as_numpy("OUTPUT0").tolist() == (_ROW + _ONES).tolist()
    assert result.as_numpy("OUTPUT1").tolist() == (_ROW - _ONES).tolist()


def test_http_requests_under_way_at_once_are_all_answered(server: RunningServer) -> None:
    with tritonclient.http.InferenceServerClient(server.http_address, concurrency=8) as client:
        for under_way in [client.async_infer("simple", _inputs(tritonclient.http)) for _ in range(64)]:
            _check(under_way.get_result())


def test_grpc_callbacks_are_all_called(server: RunningServer) -> None:
    answers: queue.Queue[Any] = queue.Queue()  # (result, error) as tritonclient hands them to its callback
    with tritonclient.grpc.InferenceServerClient(server.grpc_address) as client:
        for _ in range(64):
            client.async_infer("simple", _inputs(tritonclient.grpc), lambda result, error: answers.put((result, error)))
        for _ in range(64):
            result, error = answers.get(timeout=30)
            assert error is None, error
            _check(result)


def test_a_grpc_call_can_be_cancelled_by_its_client(server: RunningServer) -> None:
    answers: queue.Queue[Any] = queue.Queue()  # (result, error) as tritonclient hands them to its callback
    with tritonclient.grpc.InferenceServerClient(server.grpc_address) as client:
        under_way = client.async_infer(
            "simple", _inputs(tritonclient.grpc), lambda result, error: answers.put((result, error))
        )
        under_way.cancel()
        result, error = answers.get(timeout=30)
        assert (result is None) != (error is None), "answered or cancelled, never both"
        _check(client.infer("simple", _inputs(tritonclient.grpc)))


@pytest.mark.parametrize(
    "options",
    [
        {
            "keepalive_options": tritonclient.grpc.KeepAliveOptions(
                keepalive_time_ms=2**31 - 1, keepalive_timeout_ms=20_000, keepalive_permit_without_calls=False
            )
        },
        {
            "channel_args": [
                ("grpc.max_send_message_length", 1 << 20),
                ("grpc.max_receive_message_length", 1 << 20),
                ("grpc.keepalive_time_ms", 2**31 - 1),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", False),
                ("grpc.http2.max_pings_without_data", 2),
                ("grpc.dns_enable_srv_queries", 1),
            ]
        },
    ],
    ids=["keepalive", "channel"],
)
def test_channel_options_do_not_matter(server: RunningServer, options: dict[str, Any]) -> None:
    with tritonclient.grpc.InferenceServerClient(server.grpc_address, **options) as client:
        _check(client.infer("simple", _inputs(tritonclient.grpc), headers={"test": "1"}))


@pytest.mark.parametrize(
    ("model", "datatype", "field"),
    [("simple", "INT32", "int_contents"), ("simple_int8", "INT8", "int_contents")],
)
def test_grpc_tensors_may_be_typed_contents(server: RunningServer, model: str, datatype: str, field: str) -> None:
    numbers = list(range(16))
    response = _infer_contents(server, model, datatype, field, numbers, [1] * 16)
    dtype = utils.triton_to_np_dtype(datatype)
    found = [np.frombuffer(raw, dtype).tolist() for raw in response.raw_output_contents]
    assert found == [[x + 1 for x in numbers], [x - 1 for x in numbers]]


def test_grpc_text_may_be_typed_contents(server: RunningServer) -> None:
    numbers = [str(x).encode() for x in range(16)]
    response = _infer_contents(server, "simple_string", "BYTES", "bytes_contents", numbers, [b"1"] * 16)
    found = [[int(x) for x in utils.deserialize_bytes_tensor(raw)] for raw in response.raw_output_contents]
    assert found == [[x + 1 for x in range(16)], [x - 1 for x in range(16)]]


_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT16": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


@pytest.mark.parametrize("datatype", _CONTENTS)
def test_every_datatype_with_a_field_of_its_own_may_use_it(server: RunningServer, datatype: str) -> None:
    values: Array = np.array([[0, 1, 1]], utils.triton_to_np_dtype(datatype))
    message = service_pb2.ModelInferRequest(model_name=f"identity_{datatype.lower()}")
    tensor = message.inputs.add(name="INPUT0", datatype=datatype, shape=[1, 3])
    getattr(tensor.contents, _CONTENTS[datatype]).extend(values.ravel().tolist())
    with grpc.insecure_channel(server.grpc_address) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30)
    assert response.raw_output_contents[0] == values.tobytes()


def test_contents_beside_raw_bytes_are_refused_in_tritons_words(server: RunningServer) -> None:
    message = service_pb2.ModelInferRequest(model_name="simple", raw_input_contents=[_ROW.tobytes()])
    tensor = message.inputs.add(name="INPUT0", datatype="INT32", shape=[1, 16])
    tensor.contents.int_contents.extend(range(16))
    words = "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'"
    assert words in _refusal(server, message)


def test_a_version_that_is_no_number_is_refused_in_tritons_words(server: RunningServer) -> None:
    message = service_pb2.ModelInferRequest(model_name="simple", model_version="newest")
    for name in ("INPUT0", "INPUT1"):
        message.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        message.raw_input_contents.append(_ROW.tobytes())
    assert "failed to get model version from specified version string 'newest'" in _refusal(server, message)


def _refusal(server: RunningServer, message: Any) -> str:
    with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30)
    return str(caught.value)


def _infer_contents(server: RunningServer, model: str, datatype: str, field: str, *inputs: list[Any]) -> Any:
    message = service_pb2.ModelInferRequest(model_name=model)
    for number, values in enumerate(inputs):
        tensor = message.inputs.add(name=f"INPUT{number}", datatype=datatype, shape=[1, 16])
        getattr(tensor.contents, field).extend(values)
    for name in ("OUTPUT0", "OUTPUT1"):
        message.outputs.add(name=name)
    with grpc.insecure_channel(server.grpc_address) as channel:
        return service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30)


def test_input_objects_can_be_used_again(client: TritonClient) -> None:
    inputs = _inputs(client.module)
    outputs = [client.requested("OUTPUT0"), client.requested("OUTPUT1")]
    _check(client.call("infer", "simple", inputs, outputs=outputs))
    inputs[0].set_data_from_numpy(_ROW * 3)
    again = client.call("infer", "simple", inputs, outputs=outputs)
    assert again.as_numpy("OUTPUT0").tolist() == (_ROW * 3 + _ONES).tolist()


def test_query_parameters_the_server_does_not_know_are_ignored(http_client: TritonClient) -> None:
    query = {"test_1": 1, "test_2": 2}
    assert http_client.call("is_server_live", query_params=query)
    assert http_client.call("get_model_metadata", "simple", query_params=query)["name"] == "simple"
    _check(http_client.call("infer", "simple", _inputs(http_client.module), query_params=query))


def test_an_unknown_model_is_told_in_tritons_words(client: TritonClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.call("infer", "wrong_model_name", _inputs(client.module))
    assert str(caught.value.message()).startswith("Request for unknown model")
