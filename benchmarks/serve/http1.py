"""A lean HTTP/1.1 client: prebuilt request bytes out, responses counted by length in."""

import asyncio
import re
from typing import cast

from benchmarks.serve.traffic import Driver

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class ResponseReader:
    """Finds where responses end in a byte stream that carries one response at a time.

    With `keeps_body` the last response's head and body stay in `head` and `body`; without it nothing is kept.
    """

    __slots__ = ("_chunk", "_missing", "_rest", "_status", "body", "head", "keeps_body")

    def __init__(self, keeps_body: bool = False) -> None:
        self.keeps_body = keeps_body
        self.head = b""
        self.body = bytearray()
        self._rest = b""  # an incomplete head or chunk line
        self._missing = 0  # bytes of the body that have not come; with chunks, of this chunk and its line end
        self._chunk = False  # in a chunked body
        self._status = 0

    def feed(self, data: bytes) -> int | None:
        """Return the status if these bytes complete the response, None if more are to come."""
        if not self._status:
            if self._rest:
                data, self._rest = self._rest + data, b""
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return None
            self._status = int(data[9:12])
            length = _LENGTH.search(data, 0, end)
            if self.keeps_body:
                self.head = data[:end]
                self.body.clear()
            if length is None:
                return self._begin_without_length(data, end)
            self._missing = int(length[1])
            data = data[end + 4 :]
        elif self._chunk:
            return self._feed_chunks(data)
        if self.keeps_body:
            self.body += data
        self._missing -= len(data)
        return self._finish() if self._missing <= 0 else None

    def _begin_without_length(self, data: bytes, end: int) -> int | None:
        if _CHUNKED.search(data, 0, end):
            self._chunk = True
            return self._feed_chunks(data[end + 4 :])
        return self._finish()

    def _feed_chunks(self, data: bytes) -> int | None:
        data, self._rest = self._rest + data, b""
        at = 0
        while at < len(data):
            if self._missing:
                taken = min(self._missing, len(data) - at)
                if self.keeps_body:
                    # The two bytes after a chunk are its line end.
                    self.body += data[at : at + min(taken, max(self._missing - 2, 0))]
                self._missing -= taken
                at += taken
                continue
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                break
            size = int(data[at:line_end].split(b";")[0], 16)
            if not size:
                if data.find(b"\r\n", line_end + 2) < 0:
                    break
                return self._finish()
            self._missing = size + 2
            at = line_end + 2
        self._rest = data[at:]
        return None

    def _finish(self) -> int:
        status, self._status, self._chunk, self._missing = self._status, 0, False, 0
        return status


class HttpLane(asyncio.Protocol):
    """One connection with at most one request in flight. It is its own lane."""

    def __init__(self, driver: Driver, request: bytes, keeps_body: bool = False) -> None:
        self.sent_s = 0.0
        self.reader = ResponseReader(keeps_body)
        self._driver = driver
        self._request = request
        self._is_waiting = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's do not descend from asyncio's
        self._driver.opened(self)

    def send(self) -> None:
        self._is_waiting = True
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        status = self.reader.feed(data)
        if status is not None:
            self._is_waiting = False
            self._driver.answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.closed(self, self._is_waiting)
