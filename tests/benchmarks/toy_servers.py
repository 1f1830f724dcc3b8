"""Small servers on a thread of their own, each with a known fault or oddity, and a count of what they answered."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.serve.floor import EchoGrpc, EchoHttp


@dataclass(slots=True)
class Toy:
    """A listening server."""

    port: int = 0
    answered: int = 0
    started: threading.Event = field(default_factory=threading.Event)


class Scripted(asyncio.Protocol):
    """Answers the n-th request of all with what `answer` returns for n, in the pieces it is given in.

    None closes the connection instead. A request is over when its connection falls silent, which holds for bodies
    that arrive in one piece.
    """

    def __init__(self, toy: Toy, answer: Callable[[int], list[bytes] | None]) -> None:
        self._toy = toy
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        pieces = self._answer(self._toy.answered)
        self._toy.answered += 1
        if pieces is None:
            self._transport.close()
            return
        asyncio.get_running_loop().call_soon(self._write, pieces, 0)

    def _write(self, pieces: list[bytes], at: int) -> None:
        self._transport.write(pieces[at])  # type: ignore[attr-defined]  # a transport of the server's, which writes
        if at + 1 < len(pieces):
            asyncio.get_running_loop().call_soon(self._write, pieces, at + 1)


class _Connections(set[asyncio.WriteTransport]):
    """The open connections of a server, and an event for when the last one is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.emptied = asyncio.Event()


class _Watched(asyncio.Protocol):
    """Passes everything on to another protocol and keeps a set of the open connections."""

    def __init__(self, inner: asyncio.Protocol, connections: "_Connections") -> None:
        self._connections = connections
        self.data_received = inner.data_received  # type: ignore[method-assign]  # no call in between: it is the hot one
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._connections.add(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)
        if not self._connections:
            self._connections.emptied.set()
        self._inner.connection_lost(exc)


@contextmanager
def serving(make: Callable[[Toy], asyncio.Protocol]) -> Iterator[Toy]:
    """Run a server on a free port of the loopback address until the block ends."""
    toy = Toy()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    connections = _Connections()

    async def serve() -> None:
        server = await loop.create_server(lambda: _Watched(make(toy), connections), "127.0.0.1", 0)
        toy.port = server.sockets[0].getsockname()[1]
        toy.started.set()
        await over.wait()
        server.close()
        for transport in list(connections):
            transport.abort()
        connections.emptied.clear()
        if connections:
            await connections.emptied.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    toy.started.wait()
    try:
        yield toy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@contextmanager
def echo_http() -> Iterator[Toy]:
    """The HTTP floor."""
    with serving(lambda toy: EchoHttp()) as toy:
        yield toy


@contextmanager
def echo_grpc() -> Iterator[Toy]:
    """The gRPC floor."""
    with serving(lambda toy: EchoGrpc()) as toy:
        yield toy


@contextmanager
def scripted(answer: Callable[[int], list[bytes] | None]) -> Iterator[Toy]:
    """A server that answers by a script."""
    with serving(lambda toy: Scripted(toy, answer)) as toy:
        yield toy
