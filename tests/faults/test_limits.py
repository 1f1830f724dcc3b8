"""Limits the operator sets: body size, and the time a client may take to send."""

import time
from pathlib import Path

import pytest
from tests.conftest import Serve
from tests.faults import grpc_requests
from tests.faults.raw_http import RawConnection, get, head
from tests.running_server import RunningServer

_PATH = "/v2/models/adder/infer"
_PATIENCE_S = 90.0  # the server allows a request 30 s


@pytest.fixture
def strict(serve: Serve, repository: Path) -> RunningServer:
    """A server that takes bodies of up to a megabyte."""
    return serve(repository, "--python-models", str(repository), "--max-body-mb", "1")


def test_oversized_requests_are_refused(strict: RunningServer) -> None:
    # One server for all of these: starting one costs more than the checks.
    _an_oversized_body_is_refused_before_it_is_sent(strict)
    _an_oversized_chunked_body_is_refused_while_it_is_sent(strict)
    _an_oversized_grpc_message_is_refused(strict)


@pytest.mark.slow
def test_slow_requests_are_cut_off_and_idle_connections_are_not(server: RunningServer) -> None:
    address = server.host_and_port
    with (
        RawConnection(address, _PATIENCE_S) as idle,
        RawConnection(address, _PATIENCE_S) as slow_head,
        RawConnection(address, _PATIENCE_S) as slow_body,
    ):
        assert idle.send(get("/v2/health/live")).read().status == 200
        began = time.monotonic()
        slow_head.send(b"GET /v2/health/live HTTP/1.1\r\nHost: t\r\nX-Slow: ")
        slow_body.send(head("POST", _PATH, "Content-Length: 100"), b"{")
        _expect_cut(slow_head)
        _expect_cut(slow_body)
        assert time.monotonic() - began > 10, "cut off before an honest client could have sent it"
        assert idle.send(get("/v2/health/live")).read().status == 200


def _an_oversized_body_is_refused_before_it_is_sent(server: RunningServer) -> None:
    with RawConnection(server.host_and_port) as connection:
        reply = connection.send(head("POST", _PATH, f"Content-Length: {(1 << 20) + 1}")).read()
        assert reply.status == 413, reply
        assert "1" in reply.json()["error"]
        assert connection.is_closed_by_server()


def _an_oversized_chunked_body_is_refused_while_it_is_sent(server: RunningServer) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with RawConnection(server.host_and_port) as connection:
        connection.send(head("POST", _PATH, "Transfer-Encoding: chunked"))
        try:
            for _ in range(64):
                connection.send(chunk)
            reply = connection.read()
        except ConnectionError:
            return
        assert reply.status == 413, reply


def _an_oversized_grpc_message_is_refused(server: RunningServer) -> None:
    message = grpc_requests.infer_message("identity_int8", [("INPUT0", "INT8", [1, 2 << 20], bytes(2 << 20))])
    assert grpc_requests.code_of(grpc_requests.infer(server, message)) == "RESOURCE_EXHAUSTED"


def _expect_cut(connection: RawConnection) -> None:
    try:
        reply = connection.read()
    except ConnectionError:
        return
    assert reply.status == 408, reply
    assert connection.is_closed_by_server()
