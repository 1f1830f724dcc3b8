"""The other end of an HttpConnection: a transport in memory, and h11 to read what was answered."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import h11

from hekla.base.errors import HeklaError
from hekla.serve.http.connection import HttpConnection
from hekla.serve.http.limits import HttpLimits
from hekla.serve.http.message import Buffer, Exchange, Response
from hekla.serve.http.open_connections import OpenConnections
from hekla.serve.http.router import Router
from hekla.serve.oip.rest_response import tell_error


class MemoryTransport(asyncio.Transport):
    """Keeps what is written as it was handed over, as a socket that cannot send yet does: views stay views.

    Like uvloop's, it asks the protocol to pause above 64 KiB; `flush` is the peer reading everything.
    """

    HIGH_WATER_BYTES = 64 * 1024

    def __init__(self, protocol: HttpConnection) -> None:
        super().__init__()
        self._protocol = protocol
        self._unsent: list[Buffer] = []
        self._is_choked = False
        self.sent = bytearray()
        self.is_paused = self.is_aborted = self.eof_written = False
        self._is_closing = False

    def write(self, data: Buffer) -> None:
        assert not self._is_closing, "written to after close"
        assert not self.eof_written, "written to after the end"
        self._unsent.append(data)
        if not self._is_choked and self.get_write_buffer_size() > self.HIGH_WATER_BYTES:
            self._is_choked = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent))

    def flush(self) -> None:
        """Send everything."""
        for data in self._unsent:
            self.sent += data
        self._unsent.clear()
        if self._is_choked:
            self._is_choked = False
            self._protocol.resume_writing()

    def send_some(self, size: int) -> None:
        """Send the first bytes that wait."""
        waiting = b"".join(self._unsent)
        self.sent += waiting[:size]
        self._unsent = [waiting[size:]]

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = self.is_aborted = True

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    @property
    def is_over(self) -> bool:
        """Nothing more will be answered."""
        return self._is_closing or self.eof_written


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Peer:
    """A connection and its far end. `limits` and `clock` are the connection's."""

    limits: HttpLimits = field(default_factory=HttpLimits)
    clock: Clock = field(default_factory=Clock)
    router: Router = field(default_factory=lambda: echo_router([]))

    def __post_init__(self) -> None:
        self.connections = OpenConnections()
        self.protocol = HttpConnection(self.router, self.limits, self.connections, clock=self.clock)
        self.transport = MemoryTransport(self.protocol)
        self.protocol.connection_made(self.transport)

    def offer(self, data: bytes) -> int:
        """Hand bytes over as a socket would: into the protocol's buffers, while it reads. Return how many it took."""
        position = 0
        while position < len(data) and not (self.transport.is_closing() or self.transport.is_paused):
            buffer = self.protocol.get_buffer(-1)
            assert len(buffer), "asked to read without room"
            piece = data[position : position + len(buffer)]
            buffer[: len(piece)] = piece
            self.protocol.buffer_updated(len(piece))
            position += len(piece)
        return position

    async def send(self, data: bytes) -> None:
        """Hand all bytes over, and read what is answered where it waits for that."""
        while (taken := self.offer(data)) < len(data) and not self.transport.is_closing():
            data = data[taken:]
            await asyncio.sleep(0)
            self.transport.flush()

    async def settle(self) -> bytes:
        """Let everything be answered and sent; return all that was sent."""
        for _ in range(64):  # more turns of the loop than any test's pipeline needs
            self.transport.flush()
            await asyncio.sleep(0)
        return bytes(self.transport.sent)


@dataclass(frozen=True)
class Answer:
    """One final response."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def answers(data: bytes, methods: Sequence[bytes]) -> list[Answer]:
    """Read responses to requests of these methods with h11, which is not ours. Raises h11's errors."""
    found: list[Answer] = []
    connection = h11.Connection(h11.CLIENT)
    connection.receive_data(data)
    for method in methods:
        connection.send(h11.Request(method=method, target="/", headers=[("host", "t")]))
        connection.send(h11.EndOfMessage())
        response, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return found
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
        assert response is not None
        found.append(Answer(response.status_code, dict(response.headers), body))
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            break
        connection.start_next_cycle()
    return found


def echo_router(later: list[Callable[[], None]]) -> Router:
    """Routes: `/echo` answers with the request's own bytes, `/later` so when the test says, `/hello` with a name.

    `later` takes the calls that give the answers of `/later`.
    """
    router = Router(tell_error)

    def echo(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        exchange.respond(Response(200, (exchange.body,), b"application/octet-stream"))

    def soon(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asyncio.get_running_loop().call_soon(echo, exchange, parameters)

    def delayed(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        later.append(lambda: echo(exchange, parameters))

    def broken(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        raise TypeError("a bug")

    def refused(exchange: Exchange, parameters: tuple[str, ...]) -> None:
        raise HeklaError("no")

    router.add("POST", "/echo", echo)
    router.add("POST", "/soon", soon)
    router.add("POST", "/later", delayed)
    router.add("GET", "/hello/{name}", lambda exchange, names: exchange.respond(Response(200, (names[0].encode(),))))
    router.add("GET", "/broken", broken)
    router.add("GET", "/refused", refused)
    return router
