"""The gRPC layer: what is refused, with which code, and what happens when somebody goes away."""

import asyncio
import gzip
import tracemalloc
import zlib

import numpy as np
import pytest
from tests.serve.grpc.grpc_peer import HEALTH, INFER, STREAM, GrpcPeer, framed

from hekla.serve.grpc import health_pb2
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.codes import percent_encoded
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.http2 import frames
from hekla.serve.http2.frames import ErrorCode
from hekla.serve.http2.header_blocks import encode_block
from hekla.serve.http2.limits import ConnectionLimits


def request(model: str = "echo", size: int = 4) -> bytes:
    message = pb.ModelInferRequest(model_name=model, raw_input_contents=[bytes(size)])
    message.inputs.add(name="X", datatype="UINT8", shape=[size])
    return message.SerializeToString()


def test_an_unknown_method_is_unimplemented() -> None:
    answer = GrpcPeer().call("/inference.GRPCInferenceService/Nope", b"")
    assert (answer.status, answer.words) == (12, "unknown method /inference.GRPCInferenceService/Nope")
    assert answer.ended


def test_a_request_that_is_not_grpc_gets_an_http_status() -> None:
    peer = GrpcPeer()
    for content in ("application/json", "application/grpcx", ""):
        assert peer.answer(peer.begin(INFER, content=content)).fields[":status"] == "415"
    assert peer.answer(peer.begin(INFER, method="GET")).fields[":status"] == "405"
    for content in ("application/grpc+proto", "application/grpc;charset=utf-8"):
        stream_id = peer.begin(HEALTH, content=content)
        peer.data(stream_id, framed(b""))
        assert peer.answer(stream_id).status == 0


@pytest.mark.parametrize("timeout", ["", "S", "5", "5x", "123456789S", "-1S", "1.5S", " 5S"])
def test_a_malformed_timeout_is_refused(timeout: str) -> None:
    answer = GrpcPeer().call(INFER, request(), ("grpc-timeout", timeout))
    if timeout.startswith(" "):
        assert answer.reset is ErrorCode.PROTOCOL_ERROR
    else:
        assert answer.status == 3
        assert "grpc-timeout" in answer.words


@pytest.mark.parametrize(
    ("timeout", "us"), [("2S", 2e6), ("3m", 3e3), ("99999999n", 1e5), ("1H", 3.6e9), ("4M", 2.4e8)]
)
def test_a_timeout_reaches_the_service(timeout: str, us: float) -> None:
    peer = GrpcPeer()
    assert peer.call(INFER, request(), ("grpc-timeout", timeout)).status == 0
    assert 0 < peer.service.requests[0].timeout_us <= us


def test_no_time_at_all_is_a_deadline_exceeded() -> None:
    peer = GrpcPeer()
    assert peer.call(INFER, request(), ("grpc-timeout", "0S")).status == 4
    assert not peer.service.requests


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_messages_are_read(encoding: str, compress: object) -> None:
    assert callable(compress)
    field = ("grpc-encoding", encoding)
    peer = GrpcPeer(GrpcLimits(max_message_bytes=10_000))
    assert peer.call(INFER, compress(request()), field, flag=1).status == 0
    assert peer.call(INFER, request(), field, flag=0).status == 0
    bomb = peer.call(INFER, compress(bytes(10_001)), field, flag=1)
    assert (bomb.status, "the limit is 10000 bytes" in bomb.words) == (8, True)
    for damaged in (compress(request())[:-3], compress(request()) + b"x", b"no", b""):
        assert peer.call(INFER, damaged, field, flag=1).status == 3


def test_an_unknown_encoding_is_unimplemented_and_says_the_known_ones() -> None:
    answer = GrpcPeer().call(INFER, request(), ("grpc-encoding", "br"), flag=1)
    assert answer.status == 12
    assert answer.fields["grpc-accept-encoding"] == "identity,deflate,gzip"


def test_a_compressed_message_in_a_call_that_names_no_encoding_is_refused() -> None:
    assert GrpcPeer().call(INFER, gzip.compress(request()), flag=1).status == 3
    assert GrpcPeer().call(INFER, request(), flag=7).status == 3


def test_a_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    peer = GrpcPeer(GrpcLimits(max_message_bytes=1000))
    stream_id = peer.begin(INFER)
    peer.data(stream_id, b"\0" + (1001).to_bytes(4), ends=False)
    answer = peer.answer(stream_id)
    assert (answer.status, answer.reset) == (8, ErrorCode.NO_ERROR)
    assert "the limit is 1000 bytes, got 1001 bytes" in answer.words
    peer.data(stream_id, bytes(1001))
    assert peer.call(INFER, request()).status == 0


def test_unfinished_messages_of_all_calls_share_one_bound() -> None:
    peer = GrpcPeer(GrpcLimits(max_unfinished_bytes=100_000))
    first, second = peer.begin(INFER), peer.begin(INFER)
    peer.data(first, b"\0" + (90_000).to_bytes(4) + bytes(80_000), ends=False)
    peer.data(second, b"\0" + (90_000).to_bytes(4) + bytes(80_000), ends=False)
    assert peer.answer(second).status == 8
    peer.peer.send(frames.rst_stream(first, ErrorCode.CANCEL))
    for _ in range(3):
        stream_id = peer.begin(INFER)
        peer.data(stream_id, framed(request("nope", 90_000)))
        assert peer.answer(stream_id).status == 5


def test_a_bomb_is_not_even_inflated() -> None:
    bomb = gzip.compress(bytes(20 << 20), 1)
    peer = GrpcPeer(GrpcLimits(max_message_bytes=1 << 20))
    tracemalloc.start()
    try:
        assert peer.call(INFER, bomb, ("grpc-encoding", "gzip"), flag=1).status == 8
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_answered_calls_leave_no_timer_behind() -> None:
    peer = GrpcPeer()
    for _ in range(3):
        assert peer.call(INFER, request(), ("grpc-timeout", "5S")).status == 0
    assert [item for bucket in peer.door._timeouts._buckets.values() for item in bucket] == [peer.peer.connection]


def test_a_unary_call_takes_exactly_one_whole_message() -> None:
    peer = GrpcPeer()
    for body, status in [(b"", 12), (framed(request()) * 2, 12), (framed(request())[:-1], 3), (b"\0\0", 3)]:
        stream_id = peer.begin(INFER)
        peer.data(stream_id, body)
        assert peer.answer(stream_id).status == status
    assert not peer.service.requests


def test_a_message_may_come_byte_by_byte() -> None:
    peer = GrpcPeer(GrpcLimits(connection=ConnectionLimits(control_frames_burst=10_000)))
    whole = peer.call(INFER, request())
    stream_id = peer.begin(INFER)
    for byte in framed(request()):
        peer.data(stream_id, bytes([byte]), ends=False)
    peer.data(stream_id, b"")
    assert peer.answer(stream_id).messages == whole.messages


def test_a_long_message_is_collected_where_its_tensor_needs_no_copy() -> None:
    peer = GrpcPeer()
    message = pb.ModelInferRequest(model_name="echo", raw_input_contents=[np.arange(20_000.0).tobytes()])
    message.inputs.add(name="X", datatype="FP64", shape=[20_000])
    body = framed(message.SerializeToString())
    stream_id = peer.begin(INFER)
    for start in range(0, len(body), 7001):
        peer.data(stream_id, body[start : start + 7001], ends=start + 7001 >= len(body))
    peer.peer.send(frames.window_update(0, 1 << 20) + frames.window_update(stream_id, 1 << 20))
    assert peer.answer(stream_id).status == 0
    assert peer.service.requests[0].copied_bytes == 0
    assert peer.service.requests[0].inputs["X"][-1] == 19_999


def test_a_failure_of_the_handler_says_nothing_of_our_files(caplog: pytest.LogCaptureFixture) -> None:
    peer = GrpcPeer()

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    peer.service._answer = fail  # type: ignore[method-assign,assignment]  # a planted fault
    peer.service.server_metadata = fail  # type: ignore[method-assign,assignment]  # a planted fault
    answer = peer.call("/inference.GRPCInferenceService/ServerMetadata", b"")
    assert (answer.status, answer.words) == (13, "internal error")
    assert "planted" in caplog.text


def test_a_refusal_says_when_to_come_back() -> None:
    answer = GrpcPeer().call(INFER, request("busy"))
    assert (answer.status, answer.fields["grpc-retry-pushback-ms"]) == (8, "1500")


def test_words_outside_ascii_are_percent_encoded_and_cut() -> None:
    answer = GrpcPeer().call(INFER, request("mödel\n%"))
    assert answer.words == "no model 'mödel\\n%'"
    assert percent_encoded("100 % ö\n") == b"100 %25 %C3%B6%0A"
    long = percent_encoded("ö" * 5000)
    assert len(long) <= 3 * 4096 + 3
    assert long.endswith(b"...")


def test_the_health_service_knows_the_server_and_its_models() -> None:
    peer = GrpcPeer()
    for name, status in [("", 0), ("inference.GRPCInferenceService", 0), ("add_sub", 0), ("nope", 5)]:
        answer = peer.call(HEALTH, health_pb2.HealthCheckRequest(service=name).SerializeToString())
        assert answer.status == status
        assert answer.messages == ([b"\x08\x01"] if status == 0 else [])
    assert peer.call(HEALTH, b"\xff\xff").status == 3


def test_a_caller_that_resets_or_vanishes_cancels_its_request() -> None:
    peer = GrpcPeer()
    for _ in range(2):
        stream_id = peer.begin(INFER)
        peer.data(stream_id, framed(request("hold")))
    peer.peer.send(frames.rst_stream(1, ErrorCode.CANCEL))
    assert [ticket.cancelled for ticket in peer.service.held] == [True, False]
    peer.peer.connection.connection_lost(None)
    assert [ticket.cancelled for ticket in peer.service.held] == [True, True]
    peer.service.held[0].done(peer.service._answer(peer.service.held[0].request))
    assert peer.door.connections == 0


def test_an_answered_call_is_not_cancelled_afterwards() -> None:
    peer = GrpcPeer()
    stream_id = peer.begin(INFER)
    peer.data(stream_id, framed(request("hold")))
    ticket = peer.service.held[0]
    ticket.request.model = "echo"
    ticket.done(peer.service._answer(ticket.request))
    peer.peer.send(frames.rst_stream(stream_id, ErrorCode.CANCEL))
    peer.peer.connection.connection_lost(None)
    assert not ticket.cancelled


@pytest.mark.parametrize("path", [INFER, STREAM])
def test_a_deadline_answers_and_cancels(path: str) -> None:
    peer = GrpcPeer()
    stream_id = peer.begin(path, ("grpc-timeout", "5S"))
    peer.data(stream_id, framed(request("hold")), ends=path == INFER)
    receiver = peer.peer.connection.streams[stream_id].receiver
    receiver.on_timeout()  # type: ignore[attr-defined]  # both kinds of call have it; the loop of this test has no clock
    answer = peer.answer(stream_id)
    assert (answer.status, answer.words) == (4, "the time the caller allowed, 5 s, is over")
    assert peer.service.held[0].cancelled


def test_a_stream_that_ends_waits_for_its_answers() -> None:
    peer = GrpcPeer()
    stream_id = peer.begin(STREAM)
    peer.data(stream_id, framed(request("hold")) + framed(b"\xff") + framed(request()))
    answer = peer.answer(stream_id)
    assert not answer.ended
    first, second = (pb.ModelStreamInferResponse.FromString(message) for message in answer.messages)
    assert "not a ModelInferRequest" in first.error_message
    assert second.infer_response.model_name == "echo"
    ticket = peer.service.held[0]
    ticket.request.model = "echo"
    ticket.done(peer.service._answer(ticket.request))
    assert (peer.answer(stream_id).ended, len(peer.peer.connection.streams)) == (True, 0)


def test_a_stream_without_requests_ends_at_once() -> None:
    peer = GrpcPeer()
    stream_id = peer.begin(STREAM)
    peer.data(stream_id, b"")
    assert peer.answer(stream_id).status == 0


def test_a_stream_that_ends_inside_a_message_cancels_what_is_under_way() -> None:
    peer = GrpcPeer()
    stream_id = peer.begin(STREAM)
    peer.data(stream_id, framed(request("hold")) + b"\0\0\0")
    assert peer.answer(stream_id).status == 3
    assert peer.service.held[0].cancelled


def test_a_stream_whose_message_is_refused_cancels_what_is_under_way() -> None:
    peer = GrpcPeer(GrpcLimits(max_message_bytes=1000))
    stream_id = peer.begin(STREAM)
    peer.data(stream_id, framed(request("hold")) + framed(bytes(1001)), ends=False)
    assert peer.answer(stream_id).status == 8
    assert peer.service.held[0].cancelled


def test_a_peer_that_never_reads_cannot_hold_a_drain_up() -> None:
    peer = GrpcPeer()
    peer.data(peer.begin(INFER), framed(request("hold")))
    asyncio.run(peer.door.drain(0.001, 0.001))
    assert peer.service.held[0].cancelled
    assert peer.peer.transport.is_aborted


def test_header_blocks_are_written_as_hpack_reads_them() -> None:
    fields = [(b":status", b"200"), (b"content-type", b"x" * 300), (b"grpc-status", b"0"), (b"a" * 200, b"")]
    decoded = GrpcPeer().peer.decoder.decode(encode_block(fields), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in decoded] == fields
