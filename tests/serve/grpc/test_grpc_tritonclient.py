"""tritonclient.grpc, unchanged, against the running door."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator
from multiprocessing import shared_memory

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tests.serve.grpc.grpc_server import RunningServer
from tritonclient.utils import InferenceServerException

from hekla.protocols.tensor import Array


def tensor(name: str, array: Array, datatype: str) -> triton.InferInput:
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def add_sub_inputs(a: Array, b: Array) -> list[triton.InferInput]:
    return [tensor("INPUT0", a, "INT32"), tensor("INPUT1", b, "INT32")]


A = np.arange(16, dtype=np.int32).reshape(1, 16)
B = np.full((1, 16), 7, np.int32)


def test_a_request_is_answered_with_its_sums_and_differences(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        for number in range(3):
            result = client.infer("add_sub", add_sub_inputs(A + number, B), request_id=f"r{number}")
            assert (result.as_numpy("OUTPUT0") == A + number + B).all()
            assert (result.as_numpy("OUTPUT1") == A + number - B).all()
            assert result.get_response().id == f"r{number}"
            assert result.get_response().model_version == "1"


def test_only_the_outputs_asked_for_come(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        result = client.infer("add_sub", add_sub_inputs(A, B), outputs=[triton.InferRequestedOutput("OUTPUT1")])
    assert result.as_numpy("OUTPUT0") is None
    assert (result.as_numpy("OUTPUT1") == A - B).all()


@pytest.mark.parametrize(
    ("array", "datatype"),
    [
        (np.array([[True, False]]), "BOOL"),
        (np.array([1.5, -2], np.float16), "FP16"),
        (np.array([1.5, np.nan, np.inf], np.float32), "FP32"),
        (np.array([2**63 - 1], np.int64), "INT64"),
        (np.array([2**64 - 1], np.uint64), "UINT64"),
        (np.zeros((0, 4), np.float64), "FP64"),
        (np.array([[b"", "é".encode()], [b"\0\xff", b"x" * 300]], np.object_), "BYTES"),
        (np.zeros((0,), np.object_), "BYTES"),
    ],
)
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_every_kind_of_tensor_comes_back(
    server: RunningServer, array: Array, datatype: str, compression: str | None
) -> None:
    with triton.InferenceServerClient(server.address) as client:
        result = client.infer("echo", [tensor("X", array, datatype)], compression_algorithm=compression)
    assert result.as_numpy("X").shape == array.shape
    assert np.array_equal(result.as_numpy("X"), array, equal_nan=datatype.startswith("FP"))


def test_bf16_goes_both_ways_raw(server: RunningServer) -> None:
    array = np.array([[1.0, -2.5, 3e38]], ml_dtypes.bfloat16)
    with triton.InferenceServerClient(server.address) as client:
        result = client.infer("echo", [tensor("X", array, "BF16")])
    raw = server.service.requests[0].inputs["X"]
    assert raw.dtype == np.dtype(ml_dtypes.bfloat16)
    assert result.as_numpy("X").tobytes() == array.tobytes()


def test_parameters_reach_the_service_as_what_they_mean(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        client.infer(
            "echo",
            [tensor("X", A, "INT32")],
            sequence_id=42,
            sequence_start=True,
            priority=1,
            timeout=5_000_000,
            client_timeout=60,
            parameters={"mine": "yes", "n": 3},
            headers={"x-request-id": "q7", "traceparent": "00-aa-bb-01"},
        )
    request = server.service.requests[0]
    assert request.sequence is not None
    assert (request.sequence.id, request.sequence.start, request.sequence.end) == (42, True, False)
    assert (request.priority, request.timeout_us) == (1, 5_000_000)
    assert dict(request.parameters) == {"mine": "yes", "n": 3}
    assert (request.request_id, request.trace_parent) == ("q7", "00-aa-bb-01")


def test_the_earlier_of_deadline_and_timeout_reaches_the_service(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        client.infer("echo", [tensor("X", A, "INT32")], client_timeout=2, timeout=50_000_000)
    assert 0 < server.service.requests[0].timeout_us < 2_500_000  # clients round up


def test_errors_come_as_their_codes_and_words(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        for model, code, words in [
            ("nope", "NOT_FOUND", "no model 'nope'"),
            ("busy", "RESOURCE_EXHAUSTED", "the queue is full"),
            ("broken", "INTERNAL", "complex128"),
        ]:
            with pytest.raises(InferenceServerException, match=words) as failure:
                client.infer(model, [tensor("X", A, "INT32")])
            assert failure.value.status() == f"StatusCode.{code}"


def test_metadata_statistics_and_settings_are_what_the_service_says(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("add_sub")
        assert not client.is_model_ready("nope")
        assert client.get_server_metadata().extensions == ["sequence"]
        assert client.get_model_metadata("add_sub").inputs[0].shape == [-1, 16]
        assert client.get_model_config("add_sub").config.input[0].dims == [16]
        assert client.get_inference_statistics().model_stats[0].inference_stats.success.count == 3
        assert client.get_model_repository_index().models[0].state == "READY"
        assert client.get_trace_settings().settings["trace_level"].value == ["OFF"]
        assert client.get_log_settings().settings["log_info"].bool_param
        with pytest.raises(InferenceServerException, match="trace settings"):
            client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
        with pytest.raises(InferenceServerException, match="log settings"):
            client.update_log_settings({"log_info": False})
        with pytest.raises(InferenceServerException, match="no model 'nope'"):
            client.get_model_metadata("nope")


def test_models_are_loaded_and_unloaded(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.address) as client:
        client.load_model("add_sub")
        client.load_model("add_sub")
        client.unload_model("add_sub")
        assert server.service.loads == ["add_sub"]
        with pytest.raises(InferenceServerException, match="no model 'nope'"):
            client.load_model("nope")
        client.load_model("add_sub", config="{}")
        with pytest.raises(InferenceServerException, match="not this configuration"):
            client.load_model("add_sub", config='{"name": "x"}')


def test_tensors_go_both_ways_through_shared_memory(server: RunningServer) -> None:
    block = shared_memory.SharedMemory(create=True, size=4096)
    buffer = block.buf
    assert buffer is not None
    try:
        buffer[: A.nbytes] = A.tobytes()
        buffer[A.nbytes : 2 * A.nbytes] = B.tobytes()
        with triton.InferenceServerClient(server.address) as client:
            client.register_system_shared_memory("in", block.name, 2 * A.nbytes)
            client.register_system_shared_memory("out", block.name, A.nbytes, offset=2048)
            inputs = [triton.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
            inputs[0].set_shared_memory("in", A.nbytes)
            inputs[1].set_shared_memory("in", A.nbytes, offset=A.nbytes)
            output = triton.InferRequestedOutput("OUTPUT0")
            output.set_shared_memory("out", A.nbytes)
            plain = triton.InferRequestedOutput("OUTPUT1")
            result = client.infer("add_sub", inputs, outputs=[output, plain])
            assert bytes(buffer[2048 : 2048 + A.nbytes]) == (A + B).tobytes()
            assert (result.as_numpy("OUTPUT1") == A - B).all()
            assert list(map(len, result.get_response().raw_output_contents)) == [0, A.nbytes]
            assert result.get_output("OUTPUT0").parameters["shared_memory_region"].string_param == "out"
            status = client.get_system_shared_memory_status().regions
            assert (status["out"].offset, status["out"].byte_size) == (2048, A.nbytes)
            client.unregister_system_shared_memory("in")
            with pytest.raises(InferenceServerException, match="'in': is not registered"):
                client.infer("add_sub", inputs)
            client.unregister_system_shared_memory()
            assert not client.get_system_shared_memory_status().regions
            assert not client.get_cuda_shared_memory_status().regions
            with pytest.raises(InferenceServerException, match="CUDA"):
                client.register_cuda_shared_memory("c", b"aGFuZGxl", 0, 64)
    finally:
        del buffer
        block.close()
        block.unlink()


def test_a_stream_answers_every_request_and_says_errors_without_ending(server: RunningServer) -> None:
    answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
    with triton.InferenceServerClient(server.address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number in range(4):
            client.async_stream_infer("add_sub", add_sub_inputs(A + number, B), request_id=str(number))
        for number in range(4):
            result, error = answers.get(timeout=20)
            assert error is None
            assert result.get_response().id == str(number)
            assert (result.as_numpy("OUTPUT0") == A + number + B).all()
            assert result.get_response().parameters["triton_final_response"].bool_param
        client.async_stream_infer("nope", add_sub_inputs(A, B))
        result, error = answers.get(timeout=20)
        assert "no model 'nope'" in str(error)
        client.async_stream_infer("add_sub", add_sub_inputs(A, B))
        result, error = answers.get(timeout=20)
        assert (result.as_numpy("OUTPUT1") == A - B).all()
        client.stop_stream()


@pytest.mark.parametrize("wants_empty_final", [False, True])
def test_a_decoupled_model_sends_many_answers_to_one_request(server: RunningServer, wants_empty_final: bool) -> None:
    answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
    with triton.InferenceServerClient(server.address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        values = np.array([4, 2, 0], np.int32)
        client.async_stream_infer(
            "repeat", [tensor("IN", values, "INT32")], enable_empty_final_response=wants_empty_final
        )
        assert [answers.get(timeout=20)[0].as_numpy("OUT")[0] for _ in values] == [4, 2, 0]
        if wants_empty_final:
            final = answers.get(timeout=20)[0].get_response()
            assert final.parameters["triton_final_response"].bool_param
            assert not final.outputs
        client.stop_stream()
    assert answers.empty()


def test_the_asyncio_client_is_served_alike(server: RunningServer) -> None:
    async def talk() -> None:
        async with triton_aio.InferenceServerClient(server.address) as client:
            results = await asyncio.gather(*(client.infer("add_sub", add_sub_inputs(A + n, B)) for n in range(64)))
            for number, result in enumerate(results):
                assert (result.as_numpy("OUTPUT0") == A + number + B).all()

            async def requests() -> AsyncIterator[dict[str, object]]:
                for number in range(3):
                    yield {"model_name": "add_sub", "inputs": add_sub_inputs(A + number, B)}

            number = 0
            async for result, error in client.stream_infer(requests()):
                assert error is None
                assert (result.as_numpy("OUTPUT0") == A + number + B).all()
                number += 1
            assert number == 3

    asyncio.run(talk())


def test_a_call_that_is_given_up_is_cancelled_at_the_service(server: RunningServer) -> None:
    held, cancelled = threading.Event(), threading.Event()
    server.service.on_held, server.service.on_cancel = held.set, cancelled.set
    with triton.InferenceServerClient(server.address) as client:
        call = client.async_infer("hold", [tensor("X", A, "INT32")], callback=lambda result, error: None)
        assert held.wait(20)
        call.cancel()
        assert cancelled.wait(20)


def test_a_call_past_its_deadline_is_cancelled_at_the_service(server: RunningServer) -> None:
    cancelled = threading.Event()
    server.service.on_cancel = cancelled.set
    with (
        triton.InferenceServerClient(server.address) as client,
        pytest.raises(InferenceServerException, match=r"(?i)deadline"),
    ):
        client.infer("hold", [tensor("X", A, "INT32")], client_timeout=0.05)
    assert cancelled.wait(20)


@pytest.mark.slow
def test_tensors_of_32_mib_go_both_ways(server: RunningServer) -> None:
    array = np.random.default_rng(3).integers(0, 255, (32, 1 << 20), np.uint8)
    with triton.InferenceServerClient(server.address) as client:
        for _ in range(2):
            result = client.infer("echo", [tensor("X", array, "UINT8")])
            assert (result.as_numpy("X") == array).all()
    assert [request.copied_bytes for request in server.service.requests] == [0, 0]
