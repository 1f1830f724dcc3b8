"""One HTTP/1.1 connection: bytes in, exchanges out, one at a time.

The bytes of a request are received where they stay. A request that fits the receive buffer is handed over as a view of
it. A larger body gets a buffer of its own, placed so that the tensors behind a binary request's JSON header
are aligned, and the socket is read straight into that. `httptools` (llhttp, Node's parser) judges the syntax; bodies
pass through it without being copied.

    receive buffer:   | answered | head | body | the next, pipelined request ... | free |
                                 ^start         ^end of this request              ^filled
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httptools
import numpy as np

from hekla.base.errors import DeadlineError, EngineError, HeklaError, InputError, TooLargeError
from hekla.serve.http.chunked import ChunkedBody
from hekla.serve.http.message import JSON, Exchange, Response
from hekla.serve.http.router import Router

_RECEIVE_BYTES = 16 * 1024
_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_JOIN_BYTES = 32 * 1024  # answers up to this size are sent as one piece
_JSON_HEADER = b"inference-header-content-length"


def _start(response: Response) -> bytes:
    """Return how an answer starts, up to a place for the length of its body."""
    reason = _REASONS.get(response.status, "").encode()
    content_type = response.content_type.replace(b"%", b"%%")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %%d\r\n" % (response.status, reason, content_type)


_REASONS = {int(status): status.phrase for status in HTTPStatus}
_STARTS = {
    (status, content_type): _start(Response(status, (), content_type))
    for status in _REASONS
    for content_type in (JSON, b"application/octet-stream")
}


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much a client may send and how long it may take."""

    head_bytes: int = _RECEIVE_BYTES
    body_bytes: int = 64 * 1024 * 1024
    read_s: float = 30.0  # from the first byte of a request to its last, and twice that for a body over 1 MiB
    idle_s: float = 75.0  # between two requests


# Called after each answer: the exchange and its status. For access logs; None where there are none.
OnAnswer = Callable[[Exchange, int], None]


@dataclass(frozen=True, slots=True)
class _Head:
    """What the head of a request said; `length` is its body's, 0 for a chunked one."""

    method: bytes
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    keep_alive: bool
    length: int


class OpenConnections:
    """The connections a server has, and the moment it has none. Lives on the event loop."""

    def __init__(self) -> None:
        self._open: set[HttpConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator["HttpConnection"]:
        return iter(tuple(self._open))

    def add(self, connection: "HttpConnection") -> None:
        """Note a connection that was made."""
        self._open.add(connection)
        self._empty.clear()

    def discard(self, connection: "HttpConnection") -> None:
        """Note a connection that was lost."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Wait until there is none."""
        await self._empty.wait()


class HttpConnection(asyncio.BufferedProtocol):
    """See the module. A fault of the peer is answered in words; where framing is lost, the connection is closed."""

    def __init__(
        self,
        router: Router,
        limits: HttpLimits,
        connections: "OpenConnections",
        on_answer: OnAnswer | None = None,
    ) -> None:
        self._router, self._limits, self._connections, self._on_answer = router, limits, connections, on_answer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._receive_into(bytearray(_RECEIVE_BYTES))
        self._start = self._filled = 0
        self._body: memoryview | None = None  # of a request too large for the receive buffer, while it is read
        self._body_filled = 0
        self._chunked: ChunkedBody | None = None
        self._exchange: Exchange | None = None  # the one being answered
        self._paused = self._closing = self._keep_alive = False
        self._since_s = time.monotonic()  # when the present wait for the peer began
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._has_head = False
        self._head = _Head(b"", b"", b"", {}, False, 0)
        self._plain_text: bytearray | None = None  # of the head, where it says nothing out of the ordinary

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
        if self._body is not None:
            self._body_filled += nbytes
            if self._body_filled == len(self._body):
                body, self._body = self._body, None
                self._start = self._filled = 0
                self._parser_accepts(body)
                self._dispatch(body)
            return
        if self._start == self._filled:
            self._since_s = time.monotonic()
        self._filled += nbytes
        if self._exchange is None:
            self._read()
        self._regulate()

    def eof_received(self) -> None:
        """Close: a client that stops sending before it is answered has gone away (as nginx and uvicorn see it)."""

    # What the server calls

    def check_time(self, now: float) -> None:
        """Close the connection if its peer takes too long."""
        if self._exchange is not None or self._transport is None:
            return
        waited_s = now - self._since_s
        if self._start == self._filled and self._body is None and self._chunked is None:
            if waited_s > self._limits.idle_s:
                self._transport.close()
        elif waited_s > self._limits.read_s * (2 if self._body is not None and len(self._body) > 1 << 20 else 1):
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

    # What the parser calls

    def on_url(self, url: bytes) -> None:
        """Note the target."""
        self._url += url

    def on_headers_complete(self) -> None:
        """Note that there was a whole head."""
        self._has_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._headers[name.lower()] = value

    # Reading

    def _receive_into(self, buffer: bytearray) -> None:
        self._buffer, self._view = buffer, memoryview(buffer)

    def _read(self) -> None:
        """Take the next request out of the receive buffer, if its head is there."""
        if self._chunked is not None:
            self._read_chunked()
            return
        while self._buffer.startswith(b"\r\n", self._start, self._filled):  # RFC 9112, section 2.2
            self._start += 2
        end = self._buffer.find(b"\r\n\r\n", self._start, self._filled)
        if end < 0:
            self._make_room()
            return
        end += 4
        text = self._buffer[self._start : end]
        # The same bytes mean the same: clients that keep a connection send few different heads.
        if text == self._plain_text and self._filled - end >= self._head.length:
            self._start = end + self._head.length
            self._dispatch(self._view[end : self._start])
        elif self._reads_head(text, end):
            self._start = end
            self._begin(text)

    def _reads_head(self, text: bytearray, end: int) -> bool:
        self._plain_text = None
        self._url, self._headers = b"", {}
        self._has_head = False
        if not self._parser_accepts(memoryview(text)):
            return False
        if not self._has_head:
            self._refuse(InputError("not HTTP/1.1", where="request"), 400)
            return False
        path, _, query = self._url.partition(b"?")
        self._head = _Head(
            self._parser.get_method(),
            path if path.startswith(b"/") else _origin_form(path),
            query,
            self._headers,
            self._parser.should_keep_alive(),
            int(self._headers.get(b"content-length", 0)),
        )
        return True

    def _begin(self, text: bytearray) -> None:
        """Go on behind a head that was read in full."""
        head = self._head
        headers, length = head.headers, head.length
        if b"transfer-encoding" in headers:
            self._begin_chunked()
            return
        if length > self._limits.body_bytes:
            self._refuse(_too_large(self._limits, length), 413)
            return
        come = self._filled - self._start
        if b"expect" in headers:
            if come < length:
                self._write_now(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif head.keep_alive:
            self._plain_text = text
        if come < length:
            self._begin_body(length)
            return
        body = self._view[self._start : self._start + length]
        self._start += length
        if not length or self._parser_accepts(body):
            self._dispatch(body)

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

    def _begin_chunked(self) -> None:
        if b"expect" in self._head.headers:
            self._write_now(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._chunked = ChunkedBody(self._limits.body_bytes)
        self._read_chunked()

    def _read_chunked(self) -> None:
        assert self._chunked is not None
        try:
            used = self._chunked.feed(self._view[self._start : self._filled])
        except TooLargeError as error:
            self._refuse(error, 413)
            return
        except InputError as error:
            self._refuse(error, 400)
            return
        self._start += used
        if not self._chunked.complete:
            self._start = self._filled = 0
            return
        body, self._chunked = self._chunked.body, None
        # The parser saw only the head of this message; the next one gets a new parser.
        self._parser = httptools.HttpRequestParser(self)
        self._dispatch(memoryview(body))

    def _make_room(self) -> None:
        """Move an incomplete head to the front; refuse it if it fills the buffer."""
        held = self._filled - self._start
        if held >= self._limits.head_bytes:
            error = TooLargeError("request head", limit=f"{self._limits.head_bytes} bytes", got="more")
            self._refuse(error, 431)
        elif self._start:
            self._buffer[:held] = self._buffer[self._start : self._filled]
            self._start, self._filled = 0, held

    def _parser_accepts(self, data: memoryview) -> bool:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(InputError("upgrades are not supported", where="$.headers.upgrade"), 400)
            return False
        except httptools.HttpParserError as error:
            self._refuse(InputError(f"not HTTP/1.1: {error}", where="request"), 400)
            return False
        return True

    def _dispatch(self, body: memoryview) -> None:
        head = self._head
        self._keep_alive = head.keep_alive
        exchange = Exchange(self, head.method, head.path, head.query, head.headers, body, time.monotonic())
        self._exchange = exchange
        self._router.dispatch(exchange)

    def _regulate(self) -> None:
        """Read while there is room to read into."""
        full = self._body is None and self._filled == len(self._view)
        if full != self._paused and self._transport is not None:
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
        keep_alive = self._keep_alive and not self._closing
        body = response.body
        length = 0
        for part in body:
            length += len(part)
        start = _STARTS.get((response.status, response.content_type)) or _start(response)
        parts = [start % length]
        for name, value in response.headers:
            parts.append(b"%b: %b\r\n" % (name, value))
        request_id = exchange.headers.get(b"x-request-id")
        if request_id is not None:
            parts.append(b"x-request-id: %b\r\n" % request_id)
        parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        if exchange.method == b"HEAD":
            body, length = (), 0
        if length <= _JOIN_BYTES:
            transport.write(b"".join([*parts, *body]))
        else:
            transport.writelines([b"".join(parts), *body])
        if self._on_answer is not None:
            self._on_answer(exchange, response.status)
        self._exchange = None
        if not keep_alive:
            transport.close()
        else:
            self._next(reusable=response.status < 400)

    def abort(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with an error; what is not one of ours is a bug of ours."""
        if isinstance(error, HeklaError):
            self._router.fail(exchange, error)
            return
        self._router.fail(exchange, EngineError(f"internal fault: {type(error).__name__}: {error}", where="server"))
        raise error

    def _next(self, *, reusable: bool) -> None:
        """Go on after an answer. An engine that was given up may still read the buffer, and so may a pending write."""
        transport = self._transport
        assert transport is not None
        self._since_s = time.monotonic()
        held = self._filled - self._start
        if not reusable or transport.get_write_buffer_size():
            fresh = bytearray(_RECEIVE_BYTES)
            fresh[:held] = self._buffer[self._start : self._filled]
            self._receive_into(fresh)
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
        if self._exchange is None and self._transport is not None and self._start < self._filled:
            self._read()
            self._regulate()

    def _refuse(self, error: HeklaError, status: int) -> None:
        """Answer a request that could not be read, and close: where the next one begins is not known."""
        self._keep_alive = False
        self._body = self._chunked = None
        path = self._url.partition(b"?")[0]
        self._exchange = Exchange(_Restated(self, status), b"GET", path, b"", {}, memoryview(b""), time.monotonic())
        self._router.fail(self._exchange, error)

    def _write_now(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class _Restated:
    """Gives a fault of the transfer its own status (413, 431, 408), which no error of ours has."""

    def __init__(self, connection: HttpConnection, status: int) -> None:
        self._connection, self._status = connection, status

    def answer(self, exchange: Exchange, response: Response) -> None:
        """Send the answer under the other status."""
        self._connection.answer(
            exchange, Response(self._status, response.body, response.content_type, response.headers)
        )

    def abort(self, exchange: Exchange, error: BaseException) -> None:
        """As the connection does."""
        self._connection.abort(exchange, error)


def _origin_form(target: bytes) -> bytes:
    """Return the path of a target in absolute form (`http://host/path`), which RFC 9112 wants understood."""
    _, found, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if found else target


def _too_large(limits: HttpLimits, length: int) -> TooLargeError:
    return TooLargeError(
        "request body", limit=f"{limits.body_bytes} bytes", got=f"{length} bytes", cure="see --max-body-mb"
    )
