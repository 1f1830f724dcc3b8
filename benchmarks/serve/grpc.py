"""A lean gRPC client for unary calls: HTTP/2 frames written and read as bytes.

A frame (RFC 9113, section 4.1): length u24, type u8, flags u8, stream u32, payload; big-endian.
A gRPC message: compressed u8 (0), length u32 big-endian, the protobuf.

Header blocks are what a usual client sends: the first request of a connection puts its fields into the HPACK table,
each later one names them by index. Blocks that come back are decoded once and remembered while the table stays as
it was, so grpc-status is read from each answer at the price of a dictionary look-up.
"""

import asyncio
import struct
from collections import deque
from typing import cast

import hpack

from benchmarks.serve.traffic import RESET, Driver

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW = 1 << 24  # of a stream; no response in these benchmarks is longer
_CONNECTION_WINDOW = 1 << 30
_INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 0x4, 0x5  # settings


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame's bytes."""
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def message(payload: bytes) -> bytes:
    """Return a protobuf with gRPC's five bytes before it."""
    return struct.pack(">BI", 0, len(payload)) + payload


class GrpcLane:
    """One of the calls a connection has in flight."""

    __slots__ = ("body", "connection", "is_waiting", "sent_s")

    def __init__(self, connection: "GrpcConnection") -> None:
        self.sent_s = 0.0
        self.is_waiting = False
        self.body = bytearray()
        self.connection = connection

    def send(self) -> None:
        self.is_waiting = True
        self.connection.call(self)


class GrpcConnection(asyncio.Protocol):
    """One connection with `lanes` calls in flight at most."""

    def __init__(self, driver: Driver, path: str, request: bytes, *, lanes: int = 1, keeps_body: bool = False) -> None:
        encoder = hpack.Encoder()
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "127.0.0.1"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "hekla-benchmark"),
        ]
        self._first_block: bytes = encoder.encode(fields)
        self._block: bytes = encoder.encode(fields)
        self._message = message(request)
        self._driver = driver
        self._keeps_body = keeps_body
        self._lanes = [GrpcLane(self) for _ in range(lanes)]
        self._calls: dict[int, GrpcLane] = {}
        self._unsent: deque[tuple[int, int]] = deque()  # (stream, bytes of the message already sent)
        self._stream_window: dict[int, int] = {}  # of the streams in _unsent
        self._next_stream = 1
        self._is_open = False
        self._rest = b""
        self._window = 65535
        self._initial_window = 65535
        self._max_frame = 16384
        self._received_bytes = 0
        self._statuses: dict[bytes, int | None] = {}
        self._decoder = hpack.Decoder()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's do not descend from asyncio's
        settings = struct.pack(">HIHI", 0x2, 0, _INITIAL_WINDOW_SIZE, _WINDOW)  # 0x2: no push
        self._write(
            _PREFACE
            + frame(_SETTINGS, 0, 0, settings)
            + frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _CONNECTION_WINDOW - 65535))
        )

    def call(self, lane: GrpcLane) -> None:
        """Start a call on a new stream."""
        stream = self._next_stream
        self._next_stream = stream + 2
        self._calls[stream] = lane
        head = frame(_HEADERS, _END_HEADERS, stream, self._first_block if stream == 1 else self._block)
        size = len(self._message)
        if size <= self._window and size <= self._initial_window and size <= self._max_frame:
            self._window -= size
            self._write(head + frame(_DATA, _END_STREAM, stream, self._message))
        else:
            self._write(head)
            self._stream_window[stream] = self._initial_window
            self._unsent.append((stream, 0))
            self._send_what_fits()

    def _send_what_fits(self) -> None:
        for _ in range(len(self._unsent)):
            stream, sent = self._unsent.popleft()
            while sent < len(self._message):
                size = min(len(self._message) - sent, self._max_frame, self._window, self._stream_window.get(stream, 0))
                if size <= 0:
                    break
                is_last = sent + size == len(self._message)
                payload = self._message[sent : sent + size]
                self._write(frame(_DATA, _END_STREAM if is_last else 0, stream, payload))
                sent += size
                self._window -= size
                self._stream_window[stream] -= size
            if sent < len(self._message) and stream in self._calls:
                self._unsent.append((stream, sent))
            else:
                self._stream_window.pop(stream, None)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while at + 9 <= end:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            stop = at + 9 + length
            if stop > end:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9])
            if kind == _HEADERS:
                status = self._status(data[at + 9 : stop], flags)
                if flags & _END_STREAM:
                    self._answer(stream, RESET if status is None else status)
            elif kind == _DATA:
                self._received_bytes += length
                if self._keeps_body and stream in self._calls:
                    self._calls[stream].body += data[at + 9 : stop]
            else:
                self._control(kind, flags, stream, data[at + 9 : stop])
            at = stop
        self._rest = data[at:]
        if self._received_bytes > _WINDOW:
            self._write(frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received_bytes)))
            self._received_bytes = 0

    def _answer(self, stream: int, code: int) -> None:
        lane = self._calls.pop(stream, None)
        if lane is not None:
            lane.is_waiting = False
            self._driver.answered(lane, code)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._apply_settings(payload)
            self._write(frame(_SETTINGS, _ACK, 0))
            if not self._is_open:
                self._is_open = True
                for lane in self._lanes:
                    self._driver.opened(lane)
        elif kind == _PING and not flags & _ACK:
            self._write(frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            if stream == 0:
                self._window += int.from_bytes(payload)
            elif stream in self._stream_window:
                self._stream_window[stream] += int.from_bytes(payload)
            self._send_what_fits()
        elif kind == _RST_STREAM:
            self._answer(stream, RESET)
        elif kind == _GOAWAY and self._transport is not None:
            self._transport.close()

    def _apply_settings(self, payload: bytes) -> None:
        for identifier, value in struct.iter_unpack(">HI", payload):
            if identifier == _INITIAL_WINDOW_SIZE:
                for stream in self._stream_window:
                    self._stream_window[stream] += value - self._initial_window
                self._initial_window = value
            elif identifier == _MAX_FRAME_SIZE:
                self._max_frame = value

    def _status(self, block: bytes, flags: int) -> int | None:
        """Return the grpc-status a header block carries, None where it has none."""
        if block in self._statuses:
            return self._statuses[block]
        if flags & 0x28 or not flags & _END_HEADERS:
            raise NotImplementedError("padded, prioritised or continued header blocks: no server here sends them")
        before = self._table_state()
        fields = dict(self._decoder.decode(block, raw=True))
        value = fields.get(b"grpc-status")
        status = None if value is None else int(value)
        if self._table_state() != before:
            self._statuses.clear()  # an index may mean something else now
        else:
            self._statuses[block] = status
        return status

    def _table_state(self) -> tuple[object, ...]:
        return tuple(self._decoder.header_table.dynamic_entries)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        for lane in self._lanes:
            self._driver.closed(lane, lane.is_waiting)
