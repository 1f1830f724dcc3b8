"""grpcio itself, sync and aio, and plain sockets against the running door."""

import asyncio
import socket
import threading

import grpc
import numpy as np
import pytest
from tests.serve.grpc.grpc_server import RunningServer

from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.http2.limits import ConnectionLimits

SERVICE = "/inference.GRPCInferenceService"


def echo(value: int, model: str = "echo", size: int = 16) -> bytes:
    message = pb.ModelInferRequest(model_name=model, id=str(value), raw_input_contents=[bytes([value % 256]) * size])
    message.inputs.add(name="X", datatype="UINT8", shape=[size])
    return message.SerializeToString()


def value_of(answer: bytes) -> int:
    return pb.ModelInferResponse.FromString(answer).raw_output_contents[0][0]


def test_health_and_unknown_methods(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/a.B/C")(b"")
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert failure.value.details() == "unknown method /a.B/C"


def test_many_calls_at_once_over_many_channels(server: RunningServer) -> None:
    def talk(number: int) -> None:
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
            futures = [infer.future(echo(number * 20 + k), timeout=30) for k in range(20)]
            answers.extend(value_of(future.result()) == (number * 20 + k) % 256 for k, future in enumerate(futures))

    answers: list[bool] = []
    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 160


def test_the_asyncio_stubs_stream_both_ways(server: RunningServer) -> None:
    async def talk() -> None:
        async with grpc.aio.insecure_channel(server.address) as channel:
            call = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")()
            for number in range(5):
                await call.write(echo(number))
                answer = pb.ModelStreamInferResponse.FromString(await call.read())
                assert answer.infer_response.id == str(number)
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK

    asyncio.run(talk())


@pytest.mark.parametrize("limits", [GrpcLimits(max_message_bytes=100_000)])
def test_a_message_over_the_limit_is_resource_exhausted_and_the_channel_lives(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
        for size in (200_000, 3_000_000):
            with pytest.raises(grpc.RpcError) as failure:
                infer(echo(1, size=size))
            assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert value_of(infer(echo(3))) == 3


@pytest.mark.parametrize(
    "limits", [GrpcLimits(connection=ConnectionLimits(stream_window_bytes=70_000, connection_window_bytes=100_000))]
)
def test_messages_larger_than_every_window_get_through(server: RunningServer) -> None:
    options = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(server.address, options) as channel:
        infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
        futures = [infer.future(echo(k, size=1_000_000)) for k in range(4)]
        assert [value_of(future.result()) for future in futures] == [0, 1, 2, 3]


def test_a_bad_tensor_fails_its_own_call_only(server: RunningServer) -> None:
    bad = pb.ModelInferRequest(model_name="echo", raw_input_contents=[b"123"])
    bad.inputs.add(name="X", datatype="FP32", shape=[1])
    with grpc.insecure_channel(server.address) as channel:
        infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
        good = [infer.future(echo(k)) for k in range(5)]
        with pytest.raises(grpc.RpcError) as failure:
            infer(bad.SerializeToString())
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.value.details() == "$.inputs[0]: expected 4 bytes for FP32 of shape [1], got 3"
        assert [value_of(future.result()) for future in good] == list(range(5))


def test_draining_answers_what_was_accepted_and_refuses_what_comes(server: RunningServer) -> None:
    held = threading.Event()
    server.service.on_held = held.set
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(f"{SERVICE}/ModelInfer").future(echo(9, "hold"))
        assert held.wait(20)
        draining = asyncio.run_coroutine_threadsafe(server.door.drain(20), server.loop)
        ticket = server.service.held[0]
        ticket.request.model = "echo"
        server.on_loop(lambda: ticket.done(server.service._answer(ticket.request)))
        assert value_of(call.result(timeout=20)) == 9
        draining.result(20)
        assert server.on_loop(lambda: server.door.connections) == 0


def test_a_drain_that_takes_too_long_abandons_the_rest(server: RunningServer) -> None:
    held, cancelled = threading.Event(), threading.Event()
    server.service.on_held, server.service.on_cancel = held.set, cancelled.set
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(f"{SERVICE}/ModelInfer").future(echo(9, "hold"))
        assert held.wait(20)
        server.run(server.door.drain(0.05))
        assert cancelled.wait(20)
        with pytest.raises(grpc.RpcError):
            call.result(timeout=20)


def test_http1_gets_an_http1_answer_and_the_connection_ends(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"This port speaks gRPC, over HTTP/2.\r\n")


def test_noise_ends_its_own_connection_only(server: RunningServer) -> None:
    noise = np.random.default_rng(11)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise.bytes(200))
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    with grpc.insecure_channel(server.address) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
