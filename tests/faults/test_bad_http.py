"""HTTP that no client library would send: smuggling, bombs, cut bodies, slow senders."""

import gzip
import json
import socket
import zlib

import pytest
from tests.faults.raw_http import RawConnection, get, head, post
from tests.running_server import RunningServer

_PATH = "/v2/models/adder/infer"
_ONES = {"datatype": "INT32", "shape": [1, 16], "data": [1] * 16}
_BODY = json.dumps({"inputs": [{"name": "INPUT0", **_ONES}, {"name": "INPUT1", **_ONES}]}).encode()
_GOOD = post(_PATH, _BODY)


def _connect(server: RunningServer) -> RawConnection:
    return RawConnection(server.host_and_port)


def test_a_good_request_passes_the_raw_kit(server: RunningServer) -> None:
    with _connect(server) as connection:
        reply = connection.send(_GOOD).read()
    assert reply.status == 200, reply
    assert reply.json()["outputs"][0]["data"] == [2] * 16


def test_a_request_in_single_bytes_is_put_together(server: RunningServer) -> None:
    with _connect(server) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(_GOOD)):
            connection.send(_GOOD[place : place + 1])
        assert connection.read().status == 200


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    with _connect(server) as connection:
        connection.send(_GOOD, get("/v2/health/live"), post(_PATH, b"{"), _GOOD, get("/no/such/place"), _GOOD)
        assert [connection.read().status for _ in range(6)] == [200, 200, 400, 200, 404, 200]


def test_many_pipelined_requests_are_all_answered(server: RunningServer) -> None:
    with _connect(server) as connection:
        connection.send(_GOOD * 500)
        assert {connection.read().status for _ in range(500)} == {200}


@pytest.mark.parametrize("sent", [0, 1, len(_BODY) - 1])
def test_a_truncated_body_is_never_taken_for_a_request(server: RunningServer, sent: int) -> None:
    before = server.metric("hekla_requests_total", model="adder")
    with _connect(server) as connection:
        connection.send(head("POST", _PATH, f"Content-Length: {len(_BODY)}"), _BODY[:sent]).end_sending()
        if not connection.is_closed_by_server():
            assert connection.read().status == 400
    assert server.metric("hekla_requests_total", model="adder") == before


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5, 6",),
        ("Content-Length: -1",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: 5 5",),
        ("Content-Length: five",),
        ("Content-Length: 99999999999999999999999999",),
        ("Content-Length : 5",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding : chunked",),
        ("Content-Length: 5", "Transfer-Encoding: identity"),
    ],
    ids=repr,
)
def test_a_body_of_doubtful_length_is_refused_and_the_connection_closed(
    server: RunningServer, headers: tuple[str, ...]
) -> None:
    with _connect(server) as connection:
        connection.send(head("POST", _PATH, *headers), b"0\r\n\r\n", get("/v2/health/live"))
        reply = connection.read()
        assert 400 <= reply.status < 600, reply
        assert reply.status in (400, 413, 501), reply
        assert connection.is_closed_by_server(), "what follows could be a smuggled request"


@pytest.mark.parametrize("chunks", [b"5\r\nhello", b"-1\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n"])
def test_a_broken_chunk_is_refused(server: RunningServer, chunks: bytes) -> None:
    with _connect(server) as connection:
        connection.send(head("POST", _PATH, "Transfer-Encoding: chunked"), chunks)
        connection.end_sending()
        if not connection.is_closed_by_server():
            assert connection.read().status in (400, 413)


def test_a_chunked_request_is_answered(server: RunningServer) -> None:
    pieces = [_BODY[place : place + 100] for place in range(0, len(_BODY), 100)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    with _connect(server) as connection:
        reply = connection.send(head("POST", _PATH, "Transfer-Encoding: chunked"), chunks, _GOOD).read()
        assert reply.status == 200, reply
        assert connection.read().status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n\r\n\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: t\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nBad Name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nname\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nX: a\x00b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"NOT A REQUEST AT ALL\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_not_http_is_refused_and_the_connection_closed(server: RunningServer, request_bytes: bytes) -> None:
    with _connect(server) as connection:
        connection.send(request_bytes).end_sending()
        if not connection.is_closed_by_server():
            assert connection.read().status in (400, 404, 505)
            assert connection.is_closed_by_server()


@pytest.mark.parametrize("size", [1 << 17, 1 << 22])
def test_headers_without_end_are_cut_off(server: RunningServer, size: int) -> None:
    with _connect(server) as connection:
        try:
            connection.send(head("GET", "/v2/health/live", "X-Long: " + "x" * size))
            reply = connection.read()
        except ConnectionError:
            return  # closed while we were still sending: as good a refusal
        assert reply.status in (400, 431), reply
        assert connection.is_closed_by_server()


def test_too_many_headers_are_refused(server: RunningServer) -> None:
    with _connect(server) as connection:
        try:
            reply = connection.send(get("/v2/health/live", *[f"X-{n}: x" for n in range(20_000)])).read()
        except ConnectionError:
            return
        assert reply.status in (400, 431), reply


def test_a_path_without_end_is_refused(server: RunningServer) -> None:
    with _connect(server) as connection:
        try:
            reply = connection.send(get("/" + "a" * (1 << 20))).read()
        except ConnectionError:
            return
        assert reply.status in (400, 404, 414, 431), reply


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/..%2f..%2fetc/infer",
        "/v2/models/../../etc/passwd",
        "/v2/models/%00/infer",
        "/v2/models/%ff%fe/infer",
        "/v2/models/a%2",
        "/v2/models//infer",
        "/v2/models/adder/versions//infer",
        "/v2/models/adder/versions/1/versions/1/infer",
    ],
)
def test_a_path_that_leads_nowhere_is_not_found(server: RunningServer, path: str) -> None:
    with _connect(server) as connection:
        reply = connection.send(post(path, _BODY)).read()
    assert reply.status in (400, 404, 405), reply
    assert isinstance(reply.json()["error"], str)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "GET"])
def test_a_method_the_path_does_not_take_is_refused(server: RunningServer, method: str) -> None:
    target = _PATH if method != "CONNECT" else "adder:1"
    with _connect(server) as connection:
        reply = connection.send(head(method, target)).read()
    assert reply.status in (400, 404, 405, 501), reply


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_decompression_bomb_is_refused(server: RunningServer, encoding: str) -> None:
    zeros = bytes(1 << 20)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()  # four times the limit
    assert len(bomb) < 2 << 20
    reply = server.request("POST", _PATH, bomb, {"Content-Encoding": encoding})
    assert reply.status in (400, 413), reply


def test_two_layers_of_compression_are_refused(server: RunningServer) -> None:
    reply = server.request("POST", _PATH, gzip.compress(gzip.compress(_BODY)), {"Content-Encoding": "gzip, gzip"})
    assert reply.status in (400, 501), reply


def test_http_1_0_is_answered_and_closed(server: RunningServer) -> None:
    with _connect(server) as connection:
        reply = connection.send(b"GET /v2/health/live HTTP/1.0\r\n\r\n").read()
        assert reply.status == 200
        assert connection.is_closed_by_server()


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(server: RunningServer) -> None:
    with _connect(server) as connection:
        connection.send(head("POST", _PATH, f"Content-Length: {len(_BODY)}", "Expect: 100-continue"))
        first = connection.read()
        assert first.status == 100, first
        assert connection.send(_BODY).read().status == 200
