"""The gRPC server: methods by path on HTTP/2 connections, and their end."""

import asyncio
from collections.abc import Mapping

from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.codes import Code
from hekla.serve.grpc.head import CallHead, RefusedHead, read_head
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.message_reader import BufferBudget
from hekla.serve.grpc.method import Method
from hekla.serve.grpc.streaming_call import StreamingCall
from hekla.serve.http2.connection import Connection
from hekla.serve.http2.header_decoder import Fields
from hekla.serve.http2.loop import Loop
from hekla.serve.http2.request_head import Malformed
from hekla.serve.http2.stream import NOBODY, Receiver, Stream
from hekla.serve.http2.timeouts import Timeouts


class GrpcDoor:
    """Makes the protocols of connections: `loop.create_server(door, host, port)`. Lives on one event loop."""

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        limits: GrpcLimits,
        loop: Loop,
    ) -> None:
        self._methods = methods
        self._limits = limits
        self._loop = loop
        self._budget = BufferBudget(limits.max_unfinished_bytes)
        self._timeouts = Timeouts(loop)
        self._connections: set[Connection] = set()
        self._is_draining = False
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        connection = Connection(self, self._limits.connection, self._timeouts, self._on_closed, self._loop)
        self._connections.add(connection)
        self._all_closed.clear()
        if self._is_draining:
            self._loop.call_soon(connection.drain)
        return connection

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def drain(self, timeout_s: float = 30.0, grace_s: float = 1.0) -> None:
        """Take no more calls, answer those accepted, close.

        What is not answered in `timeout_s` is abandoned; peers then have `grace_s` to read what they were sent.
        """
        self._is_draining = True
        for connection in list(self._connections):
            connection.drain()
        if not await self._wait_closed(timeout_s):
            self.close()
            if not await self._wait_closed(grace_s):
                for connection in list(self._connections):
                    connection.abort()
        self._timeouts.close()

    def close(self) -> None:
        """Close every connection now; calls under way are cancelled."""
        for connection in list(self._connections):
            connection.close()

    async def _wait_closed(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self._all_closed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    # For connections

    def read_head(self, fields: Fields) -> CallHead | RefusedHead | Malformed:
        """Return what the headers of a call ask for."""
        return read_head(fields, self._methods)

    def on_request(self, stream: Stream, head: CallHead | RefusedHead, ended: bool) -> Receiver:
        """Begin a call."""
        if isinstance(head, RefusedHead):
            stream.end(head.block)
            return NOBODY
        method = head.method
        stream.body_left = head.content_length
        if method.unary is not None:
            call = UnaryCall(stream, head, method.unary, self._limits, self._budget, self._timeouts)
            if ended:
                call.fail(Code.UNIMPLEMENTED, "a unary call takes one message, got none")
            return call
        streaming = StreamingCall(stream, head, self._limits, self._budget, self._timeouts)
        assert method.streaming is not None
        method.streaming(streaming)
        if ended:
            streaming.on_data(b"", 0, 0, True)
        return streaming

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()
