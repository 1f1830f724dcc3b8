"""Whose bytes are whose: answers that are views of requests, peers that read slowly, tensors that must be aligned."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import numpy as np
import pytest
import uvloop
from tests.serve.http.http_peer import Peer, answers, echo_router

from hekla.serve.http.connection import HttpConnection
from hekla.serve.http.limits import HttpLimits
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.open_connections import OpenConnections
from hekla.serve.http.router import Router
from hekla.serve.oip.rest_response import tell_error


def _post(body: bytes, path: bytes = b"/echo", header: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: t\r\n%bContent-Length: %d\r\n\r\n" % (path, header, len(body)) + body


def _bodies(*sizes: int) -> list[bytes]:
    return [np.random.default_rng(size).bytes(size) for size in sizes]


def test_answers_not_sent_yet_keep_their_bytes_while_further_requests_come() -> None:
    # Views of a small body in an answer too large to be joined: the receive buffer itself is what is sent.
    filler = bytes(40_000)
    router = Router(tell_error)
    router.add(
        "POST", "/echo", lambda exchange, _: exchange.respond(Response(200, (exchange.body, filler), b"text/plain"))
    )
    bodies = _bodies(9000, 15_000, 7, 16_000, 3)

    async def run() -> bytes:
        peer = Peer(router=router)
        for body in bodies:
            await peer.send(_post(body))
            for _ in range(4):
                await asyncio.sleep(0)
        return await peer.settle()

    found = answers(asyncio.run(run()), [b"POST"] * len(bodies))
    assert [answer.body[:-40_000] for answer in found] == bodies


def test_a_peer_that_does_not_read_gets_no_further_request_run() -> None:
    async def run() -> None:
        ran: list[int] = []
        router = echo_router([])

        def counted(exchange: Exchange, parameters: tuple[str, ...]) -> None:
            ran.append(len(exchange.body))
            exchange.respond(Response(200, (exchange.body,), b"text/plain"))

        router.add("POST", "/counted", counted)
        peer = Peer(router=router)
        text = _post(bytes(100_000), b"/counted") * 3
        taken = 0
        for _ in range(8):
            taken += peer.offer(text[taken:])
            await asyncio.sleep(0)
        assert peer.transport.is_paused, "it stops reading too"
        assert (len(ran), taken < 130_000) == (1, True)
        await peer.send(text[taken:])
        assert len(answers(await peer.settle(), [b"POST"] * 3)) == len(ran) == 3

    asyncio.run(run())


@pytest.mark.parametrize("json_bytes", [0, 1, 100, 155, 4096, 20_000])
def test_a_large_body_is_received_where_its_tensors_are_aligned(json_bytes: int) -> None:
    seen: list[int] = []
    router = Router(tell_error)

    def look(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        tensor = np.frombuffer(exchange.body[json_bytes:], np.uint8)
        seen.append(tensor.ctypes.data % 64)
        exchange.respond(Response(200, ()))

    router.add("POST", "/look", look)

    async def run() -> None:
        peer = Peer(router=router)
        for size in (40_000, 100_001):
            await peer.send(_post(bytes(size), b"/look", b"Inference-Header-Content-Length: %d\r\n" % json_bytes))
            await peer.settle()

    asyncio.run(run())
    assert seen == [0, 0]


@pytest.mark.parametrize("given", [b"x", b"-1", b"9" * 30, b"50000"])
def test_a_json_length_that_makes_no_sense_is_left_to_the_route(given: bytes) -> None:
    async def run() -> bytes:
        peer = Peer()
        await peer.send(_post(bytes(40_000), header=b"Inference-Header-Content-Length: " + given + b"\r\n"))
        return await peer.settle()

    assert answers(asyncio.run(run()), [b"POST"])[0].status == 200


def _served(work: Callable[[tuple[str, int]], list[bytes]]) -> list[bytes]:
    """Run a blocking client in a thread against connections on a real loop and real sockets."""

    async def run() -> list[bytes]:
        loop = asyncio.get_running_loop()
        connections = OpenConnections()
        router = echo_router([])
        server = await loop.create_server(lambda: HttpConnection(router, HttpLimits(), connections), "127.0.0.1", 0)
        try:
            return await asyncio.wait_for(asyncio.to_thread(work, server.sockets[0].getsockname()[:2]), 60)
        finally:
            for connection in connections:
                connection.finish()
            server.close()
            await connections.wait_empty()

    return uvloop.run(run())


def test_a_slow_reader_gets_every_byte_right() -> None:
    bodies = _bodies(1_000_000, 10, 300_000, 16_000, 50_000, 1_000_000, 1, 33_000)

    def work(address: tuple[str, int]) -> list[bytes]:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.settimeout(30)
            client.connect(address)
            waiting = memoryview(b"".join(_post(body, b"/soon") for body in bodies))
            got = bytearray()
            wanted = sum(map(len, bodies))
            client.setblocking(False)
            while len(got) < wanted or len(answers(bytes(got), [b"POST"] * len(bodies))) < len(bodies):
                # Sends as much as the server takes, reads little: the server must stop reading, and forget nothing.
                with contextlib.suppress(BlockingIOError):
                    waiting = waiting[client.send(waiting[:65536]) :] if waiting else waiting
                try:
                    got += client.recv(4096 if waiting else 1 << 20)
                except BlockingIOError:
                    continue
            return [answer.body for answer in answers(bytes(got), [b"POST"] * len(bodies))]

    assert _served(work) == bodies


def test_a_client_that_sends_a_body_too_large_can_read_why() -> None:
    def work(address: tuple[str, int]) -> list[bytes]:
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000000\r\n\r\n")
            client.sendall(bytes(4_000_000))  # as a client does that does not look before it has sent all
            got = b""
            while piece := client.recv(65536):
                got += piece
            return [got]

    assert _served(work)[0].startswith(b"HTTP/1.1 413 ")
