"""Peers that take too long, and a server that stops."""

import asyncio
from collections.abc import Callable

import pytest
from tests.serve.http.http_peer import Peer, answers, echo_router

from hekla.serve.http.limits import HttpLimits

_LIMITS = HttpLimits(read_s=30, idle_s=75)
_HEAD = b"POST /echo HTTP/1.1\r\nHost: t\r\n"
_GOOD = b"GET /hello/x HTTP/1.1\r\nHost: t\r\n\r\n"


def _drip(pieces: list[bytes], step_s: float) -> Peer:
    """Send a piece every `step_s` seconds, the server looking at the time between."""

    async def run() -> Peer:
        peer = Peer(_LIMITS)
        for piece in pieces:
            await peer.send(piece)
            peer.transport.flush()
            peer.clock.now += step_s
            peer.protocol.check_time(peer.clock.now)
        await peer.settle()
        return peer

    return asyncio.run(run())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"G"] * 40,
        [_HEAD] + [b"X: y\r\n"] * 40,
        [_HEAD + b"Content-Length: 100\r\n\r\n"] + [b"x"] * 40,
        [_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"] + [b"1\r\nx\r\n"] * 40,
        [_GOOD + b"G"] + [b"E"] * 40,
    ],
    ids=["method", "headers", "body", "chunks", "second request"],
)
def test_a_request_that_comes_too_slowly_is_cut_off(pieces: list[bytes]) -> None:
    peer = _drip(pieces, 1.0)
    assert b"HTTP/1.1 408 Request Timeout" in peer.transport.sent
    assert b"the request was not complete after 31 s" in peer.transport.sent
    assert peer.transport.eof_written


def test_a_request_within_its_time_is_answered() -> None:
    peer = _drip([_HEAD + b"Content-Length: 20\r\n\r\n", *[b"x"] * 20], 1.0)
    assert answers(bytes(peer.transport.sent), [b"POST"])[0].body == b"x" * 20


def test_an_idle_connection_is_left_alone_until_its_time() -> None:
    peer = _drip([_GOOD], 74.0)
    assert not peer.transport.is_over
    peer.protocol.check_time(peer.clock.now + 2)
    assert peer.transport.is_closing()


def test_a_connection_that_waits_for_its_answer_has_all_the_time() -> None:
    async def run() -> None:
        later: list[Callable[[], None]] = []
        peer = Peer(_LIMITS, router=echo_router(later))
        await peer.send(b"POST /later HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx")
        peer.clock.now += 10_000
        peer.protocol.check_time(peer.clock.now)
        assert not peer.transport.is_over
        later[0]()
        assert answers(await peer.settle(), [b"POST"])[0].body == b"x"

    asyncio.run(run())


def test_a_peer_that_reads_nothing_is_cut_off_and_one_that_reads_slowly_is_not() -> None:
    async def run() -> None:
        body = bytes(200_000)
        peer = Peer(_LIMITS)
        await peer.send(_HEAD + b"Content-Length: 200000\r\n\r\n" + body)
        for _ in range(20):
            peer.clock.now += 20
            peer.transport.send_some(1000)
            peer.protocol.check_time(peer.clock.now)
        assert not peer.transport.is_over
        peer.protocol.check_time(peer.clock.now + 31)
        assert peer.transport.is_aborted

    asyncio.run(run())


def test_a_server_that_stops_answers_what_it_has_and_closes() -> None:
    async def run() -> None:
        later: list[Callable[[], None]] = []
        peer = Peer(_LIMITS, router=echo_router(later))
        await peer.send(b"POST /later HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx")
        peer.protocol.announce_end()
        peer.protocol.finish()
        assert not peer.transport.is_over
        later[0]()
        answer = answers(await peer.settle(), [b"POST"])[0]
        assert (answer.body, answer.headers[b"connection"]) == (b"x", b"close")
        assert peer.transport.is_closing()

    asyncio.run(run())


def test_a_request_on_its_way_when_the_server_begins_to_stop_is_answered() -> None:
    async def run() -> None:
        peer = Peer(_LIMITS)
        peer.protocol.announce_end()
        assert not peer.transport.is_over
        await peer.send(_GOOD)
        assert answers(await peer.settle(), [b"GET"])[0].headers[b"connection"] == b"close"
        assert peer.transport.is_closing()

    asyncio.run(run())


def test_a_connection_that_is_closing_is_not_answered_again() -> None:
    async def run() -> None:
        peer = Peer(_LIMITS)
        peer.protocol.announce_end()
        await peer.send(_GOOD + b"GET /hal")
        await peer.settle()
        assert peer.transport.is_closing()
        peer.protocol.check_time(peer.clock.now + 1000)
        assert peer.transport.sent.count(b"HTTP/1.1 ") == 1

    asyncio.run(run())


def test_an_idle_connection_is_closed_when_the_server_stops() -> None:
    async def run() -> None:
        peer = Peer(_LIMITS)
        await peer.send(_GOOD)
        await peer.settle()
        peer.protocol.finish()
        assert peer.transport.is_closing()

    asyncio.run(run())
