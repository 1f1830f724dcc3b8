"""Single requests: what each says of its connection, its body and itself, and how it is answered."""

import asyncio
import gzip
import json
import zlib

import pytest
from tests.serve.http.http_peer import Answer, Peer, answers, echo_router

from hekla.serve.http.limits import HttpLimits

_GOOD = b"GET /hello/x HTTP/1.1\r\nHost: t\r\n\r\n"


def _ask(text: bytes, method: bytes = b"GET", limits: HttpLimits | None = None) -> tuple[Answer, Peer]:
    async def run() -> tuple[bytes, Peer]:
        peer = Peer(limits or HttpLimits())
        await peer.send(text)
        return await peer.settle(), peer

    got, peer = asyncio.run(run())
    return answers(got, [method])[0], peer


def _said(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


@pytest.mark.parametrize(
    ("line", "closes", "connection"),
    [
        (b"GET /hello/x HTTP/1.1\r\nHost: t\r\n", False, None),
        (b"GET /hello/x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n", True, b"close"),
        (b"GET /hello/x HTTP/1.1\r\nHost: t\r\nConnection: TE, Close\r\n", True, b"close"),
        (b"GET /hello/x HTTP/1.0\r\n", True, b"close"),
        (b"GET /hello/x HTTP/1.0\r\nConnection: keep-alive\r\n", False, b"keep-alive"),
        (b"GET /hello/x HTTP/1.0\r\nConnection: keep-alive, close\r\n", True, b"close"),
    ],
)
def test_the_connection_lives_as_long_as_the_request_says(line: bytes, closes: bool, connection: bytes | None) -> None:
    answer, peer = _ask(line + b"\r\n")
    assert answer.status == 200
    assert peer.transport.is_closing() is closes
    assert answer.headers.get(b"connection") == connection


def test_head_is_answered_as_get_without_the_body() -> None:
    answer, peer = _ask(b"HEAD /hello/abc HTTP/1.1\r\nHost: t\r\n\r\n" + _GOOD, b"HEAD")
    assert (answer.status, answer.headers[b"content-length"], answer.body) == (200, b"3", b"")
    assert answers(bytes(peer.transport.sent), [b"HEAD", b"GET"])[1].body == b"x"


@pytest.mark.parametrize(
    ("path", "allow"), [(b"/hello/x", b"GET, HEAD"), (b"/echo", b"POST")], ids=["get and head", "post"]
)
def test_another_method_is_refused_with_those_allowed(path: bytes, allow: bytes) -> None:
    answer, peer = _ask(b"DELETE " + path + b" HTTP/1.1\r\nHost: t\r\n\r\n", b"DELETE")
    assert (answer.status, answer.headers[b"allow"]) == (405, allow)
    assert not peer.transport.is_over


def test_a_path_that_is_not_there_is_told_with_the_nearest() -> None:
    answer, _ = _ask(b"GET /ecco HTTP/1.1\r\nHost: t\r\n\r\n")
    assert answer.status == 404
    assert _said(answer) == "no such path '/ecco'; did you mean '/echo'?"
    answer, _ = _ask(b"GET /quite/another HTTP/1.1\r\nHost: t\r\n\r\n")
    assert _said(answer) == "no such path '/quite/another'; /openapi.json lists them all"


@pytest.mark.parametrize(
    ("head", "status", "words"),
    [
        (b"GET /hello/x HTTP/1.1\r\n", 400, "expected one Host header, got 0"),
        (b"GET /hello/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400, "expected one Host header, got 2"),
        (b"GET /hello/x HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400, "expected one Host header, got 2"),
        (b"GET /hello/x HTTP/0.9\r\nHost: a\r\n", 400, "not HTTP/1.1"),
        (b"GET /hello/x HTTP/2.0\r\nHost: a\r\n", 400, "not HTTP/1.1"),
        (b"GET /hello/x HTTP/1.1\r\nHost: a\r\n folded\r\n", 400, "not HTTP/1.1"),
        (b"GET /hello/x HTTP/1.1\nHost: a\n\n" + _GOOD[:-2], 400, "not HTTP/1.1"),
        (b"GET /hello/x HTTP/1.1\r\nHost: a\nX: b\r\n", 400, "not HTTP/1.1"),
        (b"GET /hello/x HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n", 400, "not HTTP/1.1"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, "not HTTP/1.1"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400, "not HTTP/1.1"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n", 400, "not HTTP/1.1"),
        (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            501,
            "no support for 'gzip, chunked'",
        ),
        (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 501, "no support for 'chunked'"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n", 413, "99999999999"),
        (b"FETCH / HTTP/1.1\r\nHost: a\r\n", 400, "not HTTP/1.1: Invalid method"),
    ],
    ids=repr,
)
def test_a_head_that_cannot_be_trusted_is_refused_and_nothing_after_it_is_read(
    head: bytes, status: int, words: str
) -> None:
    answer, peer = _ask(head + b"\r\n" + _GOOD)
    assert answer.status == status
    assert words in _said(answer)
    assert answer.headers[b"connection"] == b"close"
    assert peer.transport.eof_written
    assert peer.transport.sent.count(b"HTTP/1.1 ") == 1


def test_a_wish_for_another_protocol_is_passed_over() -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    answer, peer = _ask(
        b"POST /echo HTTP/1.1\r\nHost: t\r\n" + upgrade + b"Content-Length: 2\r\n\r\nhi" + _GOOD, b"POST"
    )
    assert (answer.status, answer.body) == (200, b"hi")
    assert answers(bytes(peer.transport.sent), [b"POST", b"GET"])[1].body == b"x"


def test_empty_lines_before_a_request_are_passed_over() -> None:
    assert _ask(b"\r\n\r\n" + _GOOD)[0].status == 200


def test_a_head_over_the_limit_is_refused() -> None:
    answer, peer = _ask(b"GET /hello/x HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 20_000)
    assert answer.status == 431
    assert peer.transport.eof_written


def test_what_follows_a_refused_request_is_dropped_until_the_client_has_read_why() -> None:
    async def run() -> None:
        peer = Peer(HttpLimits(body_bytes=10, linger_s=2))
        await peer.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
        got = await peer.settle()
        assert answers(got, [b"POST"])[0].status == 413
        peer.protocol.check_time(peer.clock.now + 1.9)
        assert not peer.transport.is_closing()
        peer.protocol.check_time(peer.clock.now + 2.1)
        assert peer.transport.is_aborted

    asyncio.run(run())


def test_100_continue_is_sent_to_those_that_wait_and_once() -> None:
    async def run(head: bytes) -> int:
        peer = Peer()
        await peer.send(b"POST /echo HTTP/1." + head + b"\r\n")
        peer.transport.flush()
        first = peer.transport.sent.count(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.send(b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in head else b"hello")
        got = await peer.settle()
        assert got.count(b" 100 Continue") == first
        assert got.endswith(b"hello")
        return first

    async def all_heads() -> list[int]:
        length = b"1\r\nHost: t\r\nContent-Length: 5\r\n"
        chunked = b"1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
        expect = b"Expect: 100-Continue\r\n"
        old = b"0\r\nContent-Length: 5\r\n" + expect
        return [await run(head) for head in (length, length + expect, chunked, chunked + expect, old)]

    assert asyncio.run(all_heads()) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity", " GZIP "])
def test_a_packed_body_is_unpacked_for_every_route(coding: str) -> None:
    text = b"hekla " * 100
    name = coding.strip().lower()
    body = {"deflate": zlib.compress(text), "identity": text}.get(name, gzip.compress(text))
    head = f"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert _ask(head.encode() + body, b"POST")[0].body == text


@pytest.mark.parametrize(
    ("coding", "body", "status", "words"),
    [
        (b"br", b"x", 501, "coding 'br'; known: gzip, deflate"),
        (b"gzip", b"no such thing", 400, "is not gzip"),
        (b"gzip", gzip.compress(b"hekla")[:-3], 400, "the gzip data end too early"),
        (b"gzip", gzip.compress(b"hekla") + b"abc", 400, "3 bytes follow the gzip data"),
        (b"deflate", zlib.compress(bytes(10_000)), 413, "limit is 1000 bytes"),
        (b"gzip", gzip.compress(bytes(10_000)), 413, "limit is 1000 bytes"),
    ],
)
def test_a_packed_body_that_cannot_be_unpacked_is_refused_and_the_connection_kept(
    coding: bytes, body: bytes, status: int, words: str
) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body))
    answer, peer = _ask(head + body + _GOOD, b"POST", HttpLimits(body_bytes=1000))
    assert answer.status == status
    assert words in _said(answer)
    assert answers(bytes(peer.transport.sent), [b"POST", b"GET"])[1].body == b"x"


def test_a_bug_in_a_route_is_answered_logged_and_outlived(caplog: pytest.LogCaptureFixture) -> None:
    answer, peer = _ask(b"GET /broken HTTP/1.1\r\nHost: t\r\n\r\n" + _GOOD)
    assert answer.status == 500
    assert _said(answer) == "server: internal fault: TypeError; see its log"
    assert "a bug" in caplog.text
    assert answers(bytes(peer.transport.sent), [b"GET", b"GET"])[1].body == b"x"


def test_a_client_that_went_away_stops_its_work() -> None:
    async def run() -> list[str]:
        happened: list[str] = []
        later: list[object] = []
        peer = Peer(router=echo_router(later))  # type: ignore[arg-type]  # a list of calls not made
        await peer.send(b"POST /later HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx")
        exchange = peer.protocol._exchange
        assert exchange is not None
        exchange.on_disconnect = lambda: happened.append("stopped")
        peer.protocol.connection_lost(None)
        later[0]()  # type: ignore[operator]  # the answer comes too late, and is no fault
        assert len(peer.connections) == 0
        return happened

    assert asyncio.run(run()) == ["stopped"]
