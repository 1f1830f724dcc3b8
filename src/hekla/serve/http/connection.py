"""One HTTP/1.1 connection: bytes in, exchanges out, one at a time.

The bytes of a request are received where they stay. A request that fits the receive buffer is handed over as a view of
it. A larger body gets a buffer of its own, placed so that the tensors behind a binary request's JSON header
are aligned, and the socket is read straight into that.

    receive buffer:   | answered | head | body | the next, pipelined request ... | free |
                                 ^start         ^end of this request              ^filled

A client that does not read its answers gets no further request read; the pieces of an answer are sent from where they
lie, and what they lie in is not written to again.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from hekla.base.errors import DeadlineError, HeklaError, InputError, TooLargeError
from hekla.serve.http.answer_head import STARTS, answer_start, stream_head
from hekla.serve.http.chunked import ChunkedBody
from hekla.serve.http.coding import decode_body
from hekla.serve.http.head import NO_HEAD, HeadError, read_head
from hekla.serve.http.limits import RECEIVE_BYTES, HttpLimits
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.open_connections import OpenConnections
from hekla.serve.http.router import Router

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_JOIN_BYTES = 32 * 1024  # answers up to this size are sent as one piece
_LARGE_BODY_BYTES = 1 << 20  # gets twice the time
_JSON_HEADER = b"inference-header-content-length"


# Called after each answer: the exchange and its status. For access logs; None where there are none.
OnAnswer = Callable[[Exchange, int], None]


class HttpConnection(asyncio.BufferedProtocol):
    """See the module. A fault of the peer is answered in words; where framing is lost, the connection is closed."""

    def __init__(
        self,
        router: Router,
        limits: HttpLimits,
        connections: OpenConnections,
        on_answer: OnAnswer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._router, self._limits, self._connections, self._on_answer = router, limits, connections, on_answer
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._receive_into(bytearray(RECEIVE_BYTES))
        self._start = self._filled = 0
        self._body: memoryview | None = None  # of a request too large for the receive buffer, while it is read
        self._body_filled = 0
        self._chunked: ChunkedBody | None = None
        self._exchange: Exchange | None = None  # the one being answered
        self._paused = False  # reading, because there is no room
        self._choked = False  # the peer does not read what it is sent
        self._closing = False  # after the present answer
        self._is_streaming = False  # an answer has begun and not ended
        self._in_chunks = False  # with the chunked coding, which HTTP/1.0 has not: there the end is the connection's
        self._discarding = False  # what follows a refused request
        self._unsent_bytes = 0  # when they were last looked at
        self._since_s = clock()  # when the present wait for the peer began
        self._head = NO_HEAD
        self._plain_text: bytes | None = None  # of the head, where its like needs no second look

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the work for a client that went away."""
        self._connections.discard(self)
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.on_disconnect is not None:
            exchange.on_disconnect()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        if self._body is not None:
            return self._body[self._body_filled :]
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes received."""
        if self._discarding:
            return
        if self._body is not None:
            self._body_filled += nbytes
            if self._body_filled == len(self._body):
                body, self._body = self._body, None
                self._start = self._filled = 0
                self._dispatch(body)
            return
        if self._start == self._filled and self._chunked is None:
            self._since_s = self._clock()
        self._filled += nbytes
        if self._exchange is None and not self._choked:
            self._read()
        self._regulate()

    def eof_received(self) -> None:
        """Close: a client that stops sending before it is answered has gone away (as nginx and uvicorn see it)."""

    def pause_writing(self) -> None:
        """Start no further request: the peer does not read its answers."""
        self._choked = True

    def resume_writing(self) -> None:
        """Go on."""
        self._choked = False
        if self._exchange is not None and self._exchange.on_room is not None:
            self._exchange.on_room()
        asyncio.get_running_loop().call_soon(self._read_if_idle)

    # What the server calls

    def check_time(self, now: float) -> None:
        """Close the connection if its peer takes too long to send, or to read its answers."""
        transport = self._transport
        if transport is None or (self._exchange is not None and not self._is_streaming):
            return
        waited_s = now - self._since_s
        unsent_bytes = transport.get_write_buffer_size()
        if self._is_streaming and not unsent_bytes:
            self._unsent_bytes, self._since_s = 0, now
            return
        if unsent_bytes:
            if unsent_bytes != self._unsent_bytes:
                self._unsent_bytes, self._since_s = unsent_bytes, now
            elif waited_s > self._limits.read_s:
                transport.abort()
        elif transport.is_closing():
            return
        elif self._discarding:
            if waited_s > self._limits.linger_s:
                transport.abort()
        elif self._start == self._filled and self._body is None and self._chunked is None:
            if waited_s > self._limits.idle_s:
                transport.close()
        elif waited_s > self._limits.read_s * (2 if self._body and len(self._body) > _LARGE_BODY_BYTES else 1):
            self._refuse(DeadlineError(f"the request was not complete after {waited_s:.0f} s", where="request"), 408)

    def announce_end(self) -> None:
        """Close after the next answer, and say so in it: the server is stopping."""
        self._closing = True

    def finish(self) -> None:
        """Close now if nothing is owed, else after the answer. A request half received counts as not accepted."""
        self._closing = True
        if self._exchange is None and self._transport is not None:
            self._transport.close()

    @property
    def is_owed_an_answer(self) -> bool:
        """True while a request is being answered."""
        return self._exchange is not None

    # Reading

    def _receive_into(self, buffer: bytearray) -> None:
        self._buffer, self._view = buffer, memoryview(buffer)

    def _read(self) -> None:
        """Take the next request out of the receive buffer, if its head is there."""
        # The same bytes mean the same: clients that keep a connection send few different heads.
        plain = self._plain_text
        if plain is not None and self._buffer.startswith(plain, self._start, self._filled):
            start = self._start + len(plain)
            end = start + self._head.length
            if end <= self._filled:
                self._start = end
                self._dispatch(self._view[start:end])
                return
        if self._chunked is not None:
            self._read_chunked()
        else:
            self._read_head()

    def _read_head(self) -> None:
        while self._buffer.startswith(b"\r\n", self._start, self._filled):  # RFC 9112, section 2.2
            self._start += 2
        end = self._buffer.find(b"\r\n\r\n", self._start, self._filled) + 4
        if end < 4:
            self._make_room()
            return
        text = bytes(self._view[self._start : end])
        self._plain_text = None
        self._start = end
        try:
            head = self._head = read_head(text)
        except HeadError as refused:
            self._head = replace(NO_HEAD, path=refused.path)
            self._refuse(refused.error, refused.status)
            return
        if head.length > self._limits.body_bytes:
            self._refuse(_too_large(self._limits, head.length), 413)
            return
        come = self._filled - end
        if head.waits and (head.is_chunked or come < head.length):
            self._write_now(b"HTTP/1.1 100 Continue\r\n\r\n")
        if head.is_chunked:
            self._chunked = ChunkedBody(self._limits.body_bytes)
            self._read_chunked()
        elif come < head.length:
            self._begin_body(head.length)
        else:
            if not head.waits:
                self._plain_text = text
            self._start = end + head.length
            self._dispatch(self._view[end : self._start])

    def _begin_body(self, length: int) -> None:
        """Make a buffer for a body and move there what has come of it."""
        json_bytes = self._head.headers.get(_JSON_HEADER, b"0")
        skip = int(json_bytes) if json_bytes.isdigit() and len(json_bytes) < 10 else 0
        memory = np.empty(length + _ALIGNMENT, np.uint8)
        offset = -(memory.ctypes.data + skip) % _ALIGNMENT
        body = memory.data[offset : offset + length]
        come = self._filled - self._start
        body[:come] = self._view[self._start : self._filled]
        self._body, self._body_filled = body, come

    def _read_chunked(self) -> None:
        assert self._chunked is not None
        try:
            self._start += self._chunked.feed(self._view[self._start : self._filled])
        except InputError as error:
            self._refuse(error, 413 if isinstance(error, TooLargeError) else 400)
            return
        if self._chunked.complete:
            body, self._chunked = self._chunked.body, None
            self._dispatch(memoryview(body))
        else:
            self._start = self._filled = 0

    def _make_room(self) -> None:
        """Move an incomplete head to the front; refuse it if it fills the buffer."""
        held = self._filled - self._start
        if held >= self._limits.head_bytes:
            self._head = NO_HEAD
            self._refuse(TooLargeError("request head", limit=f"{self._limits.head_bytes} bytes", got="more"), 431)
        elif self._start:
            self._buffer[:held] = self._buffer[self._start : self._filled]
            self._start, self._filled = 0, held

    def _dispatch(self, body: memoryview) -> None:
        head = self._head
        exchange = Exchange(self, head.method, head.path, head.query, head.headers, body, self._clock())
        self._exchange = exchange
        if head.coding is not None:
            try:
                exchange.body = decode_body(body, head.coding, self._limits.body_bytes)
            except HeklaError as error:
                self._router.fail(exchange, error)
                return
        self._router.dispatch(exchange)

    def _regulate(self) -> None:
        """Read while there is room to read into."""
        full = self._body is None and not self._discarding and self._filled == len(self._view)
        if full != self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # Answering

    def answer(self, exchange: Exchange, response: Response) -> None:
        """Send an answer and go on with the next request."""
        transport = self._transport
        if transport is None or exchange is not self._exchange:
            return
        head = self._head
        keep_alive = head.keep_alive and not self._closing
        body = response.body
        length = 0
        for part in body:
            length += len(part)
        start = STARTS.get((response.status, response.content_type)) or answer_start(response)
        parts = [start % length]
        for name, value in response.headers:
            parts.append(b"%b: %b\r\n" % (name, value))
        request_id = exchange.headers.get(b"x-request-id")
        if request_id is not None:
            parts.append(b"x-request-id: %b\r\n" % request_id)
        if not keep_alive:
            parts.append(b"connection: close\r\n\r\n")
        else:
            parts.append(b"connection: keep-alive\r\n\r\n" if head.is_http_1_0 else b"\r\n")
        if exchange.method == b"HEAD":
            body, length = (), 0
        joined = length <= _JOIN_BYTES
        if joined:
            transport.write(b"".join([*parts, *body]))
        else:
            transport.writelines([b"".join(parts), *body])
        if self._on_answer is not None:
            self._on_answer(exchange, response.status)
        self._exchange = None
        if keep_alive:
            # An engine that was given up may still read the buffer, and so may a pending write.
            self._next(fresh=response.status >= 400 or not joined)
        elif not self._discarding:
            transport.close()

    @property
    def is_choked(self) -> bool:
        """True while the peer does not read what it is sent."""
        return self._choked

    def begin(self, exchange: Exchange, response: Response) -> None:
        """Send the head of an answer whose length is not known, and what there is of its body."""
        transport = self._transport
        if transport is None or exchange is not self._exchange:
            return
        self._is_streaming, self._in_chunks = True, not self._head.is_http_1_0
        self._since_s, self._unsent_bytes = self._clock(), 0
        if not self._head.keep_alive or not self._in_chunks:
            self._closing = True
        request_id = exchange.headers.get(b"x-request-id")
        transport.write(stream_head(response, request_id, in_chunks=self._in_chunks, closes=self._closing))
        for part in response.body:
            self.send(exchange, bytes(part))
        if self._on_answer is not None:
            self._on_answer(exchange, response.status)

    def send(self, exchange: Exchange, data: bytes) -> None:
        """Send a piece of the body."""
        transport = self._transport
        if transport is None or exchange is not self._exchange or not data:
            return
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._in_chunks else data)

    def finish_answer(self, exchange: Exchange) -> None:
        """End the body, and go on with the next request."""
        transport = self._transport
        if transport is None or exchange is not self._exchange:
            return
        if self._in_chunks:
            transport.write(b"0\r\n\r\n")
        self._exchange, self._is_streaming = None, False
        if self._closing:
            transport.close()
        else:
            self._next(fresh=True)

    def cut(self, exchange: Exchange) -> None:
        """Break off: what was promised will not come."""
        if self._transport is not None and exchange is self._exchange:
            self._exchange, self._is_streaming = None, False
            self._transport.abort()

    def abort(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with an error; what is not one of ours is a bug of ours."""
        self._router.abort(exchange, error)

    def _next(self, *, fresh: bool) -> None:
        """Go on after an answer, in another buffer where this one may still be read."""
        self._since_s = self._clock()
        held = self._filled - self._start
        if fresh:
            buffer = bytearray(RECEIVE_BYTES)
            buffer[:held] = self._buffer[self._start : self._filled]
            self._receive_into(buffer)
            self._start, self._filled = 0, held
        elif not held:
            self._start = self._filled = 0
        elif self._start > len(self._view) // 2:
            self._buffer[:held] = self._buffer[self._start : self._filled]
            self._start, self._filled = 0, held
        if self._paused:
            self._regulate()
        if held:
            # Not from inside the answer: a long pipeline would recurse.
            asyncio.get_running_loop().call_soon(self._read_if_idle)

    def _read_if_idle(self) -> None:
        if self._exchange is None and not (self._choked or self._discarding) and self._start < self._filled:
            if self._transport is None or self._transport.is_closing():
                return
            self._read()
            self._regulate()

    def _refuse(self, error: HeklaError, status: int) -> None:
        """Answer a request that could not be read, and close: where the next one begins is not known.

        What the client still sends is read and dropped for a while: closing at once would reset the connection, and
        the client could not read the answer.
        """
        transport = self._transport
        assert transport is not None
        path = self._head.path
        self._head = replace(NO_HEAD, path=path)
        self._body = self._chunked = self._plain_text = None
        self._discarding = True
        self._start = self._filled = 0
        self._since_s = self._clock()
        self._exchange = Exchange(self, b"-", path, b"", {}, memoryview(b""), self._since_s)
        # These faults of the transfer have their own status, which no error of ours has.
        self._exchange.respond(replace(self._router.describe(path, error), status=status))
        if transport.can_write_eof():
            transport.write_eof()
        self._regulate()

    def _write_now(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _too_large(limits: HttpLimits, length: int) -> TooLargeError:
    return TooLargeError(
        "request body", limit=f"{limits.body_bytes} bytes", got=f"{length} bytes", cure="see --max-body-mb"
    )
