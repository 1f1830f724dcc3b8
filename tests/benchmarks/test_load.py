"""The load generator counts what servers do: no more, no less, and under the right heading."""

import time
from concurrent import futures

import grpc
import pytest
from tests.benchmarks.toy_servers import Toy, echo_grpc, echo_http, scripted

from benchmarks.serve.exchange import GRPC_PATH, Exchange
from benchmarks.serve.load import Measurement, Target, ask, run_closed, run_open
from benchmarks.serve.traffic import DISCONNECTED

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n7;x=1\r\npedia\r\n\r\n0\r\n\r\n"


def http(body: bytes = b"hello") -> Exchange:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    return Exchange(False, request, lambda head, answer: {})


def call(payload: bytes = b"hello") -> Exchange:
    return Exchange(True, payload, lambda head, answer: {})


def closed(toy: Toy, exchange: Exchange, connections: int = 4, lanes: int = 1) -> Measurement:
    return run_closed(Target(toy.port, exchange, connections, lanes), warm_up_s=0.0, seconds=0.1)


def test_every_answer_of_a_closed_loop_is_counted_once() -> None:
    with scripted(lambda number: [OK]) as toy:
        measured = closed(toy, http())
        assert measured.ok + measured.uncounted == toy.answered
    assert measured.errors == {}
    assert measured.unanswered == 0
    assert measured.per_second == pytest.approx(measured.ok / measured.seconds)


def test_an_answer_in_pieces_is_one_answer() -> None:
    pieces = [OK[:7], OK[7:25], OK[25:40], OK[40:]]
    with scripted(lambda number: pieces) as toy:
        measured = closed(toy, http(), connections=2)
        assert measured.ok + measured.uncounted == toy.answered
    assert measured.errors == {}


@pytest.mark.parametrize("cut", range(1, len(CHUNKED)))
def test_a_chunked_answer_is_read_wherever_it_is_cut(cut: int) -> None:
    with scripted(lambda number: [CHUNKED[:cut], CHUNKED[cut:]]) as toy:
        _, body = ask(toy.port, http())
    assert body == b"wikipedia\r\n"


def test_refusals_are_counted_by_status_and_timed_apart() -> None:
    with scripted(lambda number: [TOO_MANY if number % 3 == 0 else OK]) as toy:
        measured = closed(toy, http(), connections=1)
    assert set(measured.latencies_s) == {200, 429}
    assert measured.errors[429] == pytest.approx(measured.ok / 2, abs=2)
    assert measured.percentile_ms(99, 429) > 0


def test_a_connection_cut_under_a_request_is_an_error_and_a_new_one_is_opened() -> None:
    with scripted(lambda number: None if number == 5 else [OK]) as toy:
        measured = closed(toy, http(), connections=1)
    # The cut may come before the window opens; then it is among the uncounted.
    assert measured.errors in ({DISCONNECTED: 1}, {})
    assert measured.ok + sum(measured.errors.values()) + measured.uncounted == toy.answered > 6


def test_the_answer_of_one_request_comes_back_whole() -> None:
    body = bytes(range(256)) * 4096  # more than any socket buffer takes at once
    with echo_http() as toy:
        assert ask(toy.port, http(body))[1] == body


def test_an_answer_that_is_no_success_is_an_error_to_who_asked() -> None:
    with (
        scripted(lambda number: [TOO_MANY]) as toy,
        pytest.raises(ConnectionError, match="status 429"),
    ):
        ask(toy.port, http())


@pytest.mark.parametrize(("connections", "lanes"), [(1, 1), (4, 1), (1, 4), (2, 3)])
def test_grpc_calls_are_answered_on_many_connections_and_on_one(connections: int, lanes: int) -> None:
    with echo_grpc() as toy:
        measured = closed(toy, call(), connections, lanes)
    assert measured.ok > connections * lanes
    assert measured.errors == {}
    assert measured.unanswered == 0


def test_a_message_larger_than_frame_and_window_arrives_whole() -> None:
    payload = bytes(range(256)) * 8192  # 2 MiB
    with echo_grpc() as toy:
        assert ask(toy.port, call(payload))[1][5:] == payload


class _Grpcio:
    """A real gRPC server: echoes, or fails every other call."""

    def __init__(self) -> None:
        self.calls = 0

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if request == b"fail":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"call {self.calls} is one too many")
        return request

    def serve(self) -> tuple[grpc.Server, int]:
        _, service, method = GRPC_PATH.split("/")
        server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
        handler = grpc.unary_unary_rpc_method_handler(self.echo)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return server, port


def test_a_grpcio_server_understands_the_calls_small_and_large() -> None:
    real = _Grpcio()
    server, port = real.serve()
    try:
        for payload in (b"", b"hello", bytes(300_000)):
            assert ask(port, call(payload))[1][5:] == payload
        measured = closed(Toy(port), call(), connections=2, lanes=2)
        assert measured.errors == {}
        assert measured.ok + measured.uncounted == real.calls - 3  # three were asked before
    finally:
        server.stop(None).wait()


def test_a_grpc_status_is_counted_though_the_header_table_changes_with_every_answer() -> None:
    real = _Grpcio()
    server, port = real.serve()
    try:
        measured = closed(Toy(port), call(b"fail"), connections=1, lanes=2)
        assert set(measured.errors) == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
        assert measured.ok == 0
    finally:
        server.stop(None).wait()


def test_an_open_loop_sends_at_its_rate_and_times_from_when_a_request_was_due() -> None:
    with scripted(lambda number: [OK]) as toy:
        measured = run_open(Target(toy.port, http(), 8), 500, warm_up_s=0.0, seconds=0.2)
    assert measured.ok + measured.unsent == pytest.approx(100, abs=5)
    assert all(0 < latency < 0.2 for latency in measured.latencies_s[200])


def test_requests_due_while_every_connection_waits_are_counted_as_unsent() -> None:
    def slow(number: int) -> list[bytes]:
        time.sleep(0.03)  # the server computes; nothing is synchronised by this
        return [OK]

    with scripted(slow) as toy:
        measured = run_open(Target(toy.port, http(), 1), 1000, warm_up_s=0.0, seconds=0.2)
    assert measured.unsent > 100
    assert 0 < measured.ok < 50


def test_the_meter_is_read_at_both_ends_of_the_window() -> None:
    readings = iter([3.0, 10.0])
    with echo_http() as toy:
        measured = run_closed(Target(toy.port, http(), 1), warm_up_s=0.0, seconds=0.01, meter=lambda: next(readings))
    assert measured.metered == 7.0
