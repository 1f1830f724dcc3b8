"""Answers whose body comes piece by piece: framing, readers that are slow or gone, what follows on the connection."""

import asyncio

from tests.serve.http.http_peer import Peer, answers, echo_router

from hekla.serve.http.message import AnswerStream, Exchange, Response
from hekla.serve.http.router import Router

ASK = b"GET /stream HTTP/1.1\r\nhost: t\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\nhi"


class Streaming:
    """A route that begins an answer and leaves the rest to the test."""

    def __init__(self) -> None:
        self.streams: list[AnswerStream] = []
        self.exchanges: list[Exchange] = []
        self.told: list[str] = []

    def router(self) -> Router:
        router = echo_router([])
        router.add("GET", "/stream", self._begin)
        return router

    def _begin(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        self.exchanges.append(exchange)
        exchange.on_disconnect = lambda: self.told.append("gone")
        self.streams.append(exchange.stream(Response(200, (b"one",), b"text/event-stream")))
        exchange.on_room = lambda: self.told.append("room")


def test_pieces_are_chunks_and_the_next_request_follows() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK + ECHO)
        (stream,) = streaming.streams
        stream.write(b"two")
        assert answers(await peer.settle(), [b"GET"]) == [], "not whole yet"
        stream.end()
        stream.write(b"late")
        stream.end()
        first, second = answers(await peer.settle(), [b"GET", b"POST"])
        assert (first.body, first.headers[b"content-type"]) == (b"onetwo", b"text/event-stream")
        assert second.body == b"hi"
        assert not streaming.told

    asyncio.run(run())


def test_http_1_0_gets_the_body_as_it_is_and_then_the_end() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(b"GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        streaming.streams[0].write(b"two")
        streaming.streams[0].end()
        sent = await peer.settle()
        assert sent.endswith(b"connection: close\r\n\r\nonetwo")
        assert peer.transport.is_closing()

    asyncio.run(run())


def test_a_client_that_goes_away_is_told_of_once() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK)
        peer.protocol.connection_lost(None)
        streaming.streams[0].write(b"two")
        streaming.streams[0].end()
        assert streaming.told == ["gone"]

    asyncio.run(run())


def test_a_writer_sees_that_nobody_reads_and_hears_when_there_is_room() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK)
        (stream,) = streaming.streams
        stream.write(b"x" * 100_000)
        was_choked = stream.is_choked
        peer.transport.flush()
        assert (was_choked, stream.is_choked) == (True, False)
        assert streaming.told == ["room"]
        stream.end()
        (answer,) = answers(await peer.settle(), [b"GET"])
        assert len(answer.body) == 100_003

    asyncio.run(run())


def test_a_reader_that_stands_still_is_cut_off_and_a_slow_one_is_not() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK)
        peer.transport.flush()
        for _ in range(5):  # nothing to read: the model takes its time
            peer.clock.now += peer.limits.read_s
            peer.protocol.check_time(peer.clock.now)
        streaming.streams[0].write(b"x" * 100_000)
        for _ in range(5):
            peer.clock.now += peer.limits.read_s - 1
            peer.transport.send_some(1)
            peer.protocol.check_time(peer.clock.now)
        assert not peer.transport.is_aborted
        peer.clock.now += peer.limits.read_s + 1
        peer.protocol.check_time(peer.clock.now)
        assert peer.transport.is_aborted

    asyncio.run(run())


def test_an_answer_that_cannot_be_ended_is_cut() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK)
        streaming.streams[0].cut()
        assert peer.transport.is_aborted
        peer.protocol.connection_lost(None)
        assert not streaming.told, "the writer knows"

    asyncio.run(run())


def test_a_server_that_stops_lets_a_stream_end() -> None:
    async def run() -> None:
        streaming = Streaming()
        peer = Peer(router=streaming.router())
        await peer.send(ASK)
        peer.protocol.announce_end()
        peer.protocol.finish()
        assert peer.protocol.is_owed_an_answer
        streaming.streams[0].end()
        (answer,) = answers(await peer.settle(), [b"GET"])
        assert answer.body == b"one"
        assert peer.transport.is_closing()

    asyncio.run(run())
