"""Streams of text over gRPC, as Triton's vLLM backend has them, with grpcio's and tritonclient's own clients."""

import json
import queue
import struct
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from tests.running_server import RunningServer
from tests.serve.text.sse_client import wait_for

from hekla.serve.grpc import open_inference_pb2 as pb

pytestmark = pytest.mark.slow

# Any: tritonclient ships no types.
Client = Any


def inputs(text: str, stream: bool, kind: Any = triton, **sampling: object) -> list[Any]:
    """Return the tensors of a request."""
    made = [kind.InferInput("text_input", [1], "BYTES"), kind.InferInput("sampling_parameters", [1], "BYTES")]
    made[0].set_data_from_numpy(np.array([text.encode()], np.object_))
    made[1].set_data_from_numpy(np.array([json.dumps(sampling).encode()], np.object_))
    if stream:
        made.append(kind.InferInput("stream", [1], "BOOL"))
        made[2].set_data_from_numpy(np.array([True]))
    return made


def record(content: bytes) -> bytes:
    """Return a BYTES tensor of one element."""
    return struct.pack("<I", len(content)) + content


def text_of(answer: Any) -> str:
    """Return the piece of text in an answer."""
    content: bytes = answer.as_numpy("text_output")[0]
    return content.decode()


@pytest.fixture
def answers() -> "queue.SimpleQueue[Any]":
    return queue.SimpleQueue()


def streamed(client: Client, answers: "queue.SimpleQueue[Any]", model: str, tensors: list[Any]) -> list[Any]:
    """Ask over a stream; return the answers, the final one last."""
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer(model, tensors, enable_empty_final_response=True)
    found = []
    while True:
        result, error = answers.get(timeout=30)
        assert error is None, error
        found.append(result)
        if result.get_response().parameters["triton_final_response"].bool_param:
            return found


def test_pieces_come_one_by_one_and_make_the_whole(
    text_server: RunningServer, answers: "queue.SimpleQueue[Any]"
) -> None:
    with triton.InferenceServerClient(text_server.grpc_address) as client:
        found = streamed(client, answers, "words", inputs("Gr", True, temperature=0, max_tokens=100))
        whole = client.infer("words", inputs("Gr", False, temperature=0, max_tokens=100))
    assert len(found) > 20
    assert "".join(map(text_of, found)) == "üße aus Wien, wo der Kaffee kräftig ist."
    assert text_of(whole) == "Grüße aus Wien, wo der Kaffee kräftig ist.", "the prompt too, as the backend does"
    assert found[-1].as_numpy("finish_reason")[0] == whole.as_numpy("finish_reason")[0] == b"stop"
    assert int(whole.as_numpy("num_output_tokens")[0]) > 40


def test_the_same_over_http(text_server: RunningServer) -> None:
    with triton_http.InferenceServerClient(text_server.http_address) as client:
        answer = client.infer("words", inputs("Gr", False, triton_http, temperature=0, max_tokens=2))
        assert text_of(answer) == "Grü"
        with pytest.raises(triton_http.InferenceServerException, match="needs ModelStreamInfer"):
            client.infer("words", inputs("Gr", True, triton_http))


def test_a_caller_that_hangs_up_frees_its_pages(text_server: RunningServer, answers: "queue.SimpleQueue[Any]") -> None:
    with triton.InferenceServerClient(text_server.grpc_address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("slow", inputs("Gr", True, max_tokens=1000, ignore_eos=True))
        result, error = answers.get(timeout=30)
        assert error is None
        assert result.as_numpy("finish_reason")[0] == b""
        wait_for(text_server, "slow", running=1)
        client.stop_stream(cancel_requests=True)
    wait_for(text_server, "slow", running=0, waiting=0, free_pages=1024)


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        ({"temperature": -1}, "must be a number from 0 to 2"),
        ({"top_q": 1}, "did you mean 'top_p'"),
        ({"max_tokens": 0}, "from 1 to"),
    ],
)
def test_wrong_parameters_are_refused(text_server: RunningServer, sampling: dict[str, object], words: str) -> None:
    with (
        triton.InferenceServerClient(text_server.grpc_address) as client,
        pytest.raises(triton.InferenceServerException, match=words),
    ):
        client.infer("words", inputs("Gr", False, **sampling))


def test_a_prompt_over_the_context_is_refused_with_both_numbers(text_server: RunningServer) -> None:
    with (
        triton.InferenceServerClient(text_server.grpc_address) as client,
        pytest.raises(triton.InferenceServerException, match=r"256 tokens.*got 301 tokens"),
    ):
        client.infer("words", inputs("x" * 300, False))


def test_the_model_says_that_it_is_decoupled(text_server: RunningServer) -> None:
    with triton.InferenceServerClient(text_server.grpc_address) as client:
        config = client.get_model_config("words", as_json=True)["config"]
    assert config["model_transaction_policy"] == {"decoupled": True}


def test_a_deadline_over_while_it_waits_is_told(text_server: RunningServer, answers: "queue.SimpleQueue[Any]") -> None:
    with triton.InferenceServerClient(text_server.grpc_address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("narrow", inputs("Gr", True, max_tokens=1000, ignore_eos=True))
        answers.get(timeout=30)
        wait_for(text_server, "narrow", running=1, waiting=0)
        with pytest.raises(triton.InferenceServerException, match="no token within the time allowed"):
            client.infer("narrow", inputs("Gr", False), timeout=100_000)
        client.stop_stream(cancel_requests=True)
    wait_for(text_server, "narrow", running=0, waiting=0)


def test_a_caller_that_does_not_read_is_cut_off(text_server: RunningServer) -> None:
    request = pb.ModelInferRequest(model_name="endless")
    for name, kind, raw in (
        ("text_input", "BYTES", record(b"Gr")),
        ("stream", "BOOL", b"\x01"),
        ("sampling_parameters", "BYTES", record(b'{"max_tokens": 90000, "ignore_eos": true, "seed": 1}')),
    ):
        request.inputs.add(name=name, datatype=kind, shape=[1])
        request.raw_input_contents.append(raw)
    # A window of 64 KiB, and a caller that looks at the first piece only.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535)]
    with grpc.insecure_channel(text_server.grpc_address, options=options) as channel:
        method = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        call = method(iter([request]))
        next(call)
        row = wait_for(text_server, "endless", running=0, waiting=0)
        assert row["tenants"][0]["answer_tokens"] < 90_000
        with pytest.raises(grpc.RpcError) as caught:
            for _ in call:
                pass
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
