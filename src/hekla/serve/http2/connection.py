"""One HTTP/2 connection, the receiving side: frames in, requests out (RFC 9113).

Workload: small unary calls, a HEADERS and a DATA frame each, many per chunk read; now and then a tensor of megabytes.
So a chunk is parsed in one loop, DATA is handed on as positions within the chunk, and a DATA frame longer than
the chunk is handed on in parts instead of being collected first.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from hekla.serve.http2 import frames
from hekla.serve.http2.allowance import Allowance
from hekla.serve.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY_FLAG,
    SETTINGS,
    ConnectionFault,
    ErrorCode,
)
from hekla.serve.http2.header_decoder import HeaderDecoder
from hekla.serve.http2.limits import ConnectionLimits
from hekla.serve.http2.loop import Loop
from hekla.serve.http2.peer_settings import apply_settings
from hekla.serve.http2.request_head import Malformed, fault_of_trailers
from hekla.serve.http2.sender import Sender
from hekla.serve.http2.stream import Application, Stream
from hekla.serve.http2.timeouts import Expiring, Timeouts

_log = logging.getLogger(__name__)
_unpack = frames.HEADER.unpack_from
_HTTP1_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 37\r\nconnection: close\r\n\r\n"
    b"This port speaks gRPC, over HTTP/2.\r\n"
)
_CLOSE_S = 30.0  # for the last bytes to be read before the transport is aborted
_DRAIN_PING = b"hekla-gw"
_ALIVE_PING = b"hekla-ka"
_MAX_CONTINUATIONS = 16
_REMEMBERED_RESETS = 1024


class Connection(asyncio.Protocol):
    """The server's end of one connection. Never raises: faults end in RST_STREAM, GOAWAY or a closed transport."""

    def __init__(
        self,
        application: Application,
        limits: ConnectionLimits,
        timeouts: Timeouts,
        on_closed: Callable[["Connection"], None],
        loop: Loop,
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self.last_stream_id = 0
        self._application = application
        self._limits = limits
        self._timeouts = timeouts
        self._on_closed = on_closed
        self._sender = Sender(loop, limits.stream_window_bytes, self._on_stream_end)
        self._decoder: HeaderDecoder[Any] = HeaderDecoder(  # Any: what the application makes of a head
            limits.max_header_list_bytes, application.read_head
        )
        self._heads = self._decoder.remembered
        self._transport: asyncio.Transport | None = None
        self._credit = limits.connection_window_bytes
        self._control = Allowance("control frames", limits.control_frames_burst, limits.control_frames_per_s)
        self._resets = Allowance("stream resets", limits.resets_burst, limits.resets_per_s)
        self._reset_ids: dict[int, None] = {}  # streams we ended early: what still comes for them is dropped
        self._partial = bytearray()
        self._needed = len(frames.PREFACE)
        self._data_stream: Stream | None = None  # of the DATA frame whose end has not come yet
        self._data_left = 0
        self._data_ended = False
        self._block: bytearray | None = None  # of the HEADERS frame whose CONTINUATION is awaited
        self._block_stream_id = 0
        self._block_ended = False
        self._continuations = 0
        self._has_preface = False
        self._has_settings = False
        self._is_closing = False
        self._is_draining = False
        self._refuses_new = False
        self._final_stream_id = 0  # what the GOAWAY that ends a drain named
        self._heard = True  # anything since the last timeout
        self._asked = False  # whether it lives
        self._timer: set[Expiring] = set()
        self._handlers = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the preface; our settings follow it, so that an HTTP/1.1 client can be told in its own words."""
        assert hasattr(transport, "writelines")  # a Transport; uvloop's is no subclass of asyncio's
        self._transport = transport  # type: ignore[assignment]  # see above
        self._sender.attach(self._transport)
        self._timer = self._timeouts.add(self, self._limits.handshake_s)

    def data_received(self, data: bytes) -> None:
        """Process what came."""
        self._heard = True
        if self._is_closing:
            return
        try:
            self._receive(data)
        except ConnectionFault as fault:
            self._fail(fault.code, fault.reason)
        except Exception:  # noqa: BLE001  # a connection is a boundary: our own fault must not stop the others
            _log.exception("HTTP/2 connection failed")
            self._fail(ErrorCode.INTERNAL_ERROR, "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that nobody waits for its answers any more."""
        self._is_closing = True
        self._sender.attach(None)
        self._timer.discard(self)
        self._abandon_streams()
        self._on_closed(self)

    def eof_received(self) -> None:
        """The peer sends no more: HTTP/2 has no half-closed connections."""

    def pause_writing(self) -> None:
        """Hold DATA back."""
        self._sender.pause()

    def resume_writing(self) -> None:
        """Send DATA again."""
        self._sender.resume()

    # What the server asks of a connection

    def drain(self) -> None:
        """Let the peer open no more streams, and close when those open are answered (section 6.8).

        The first GOAWAY names no stream, so that requests on their way are still served; the second, after a
        round trip, names the last one seen.
        """
        if self._is_draining or self._is_closing:
            return
        self._is_draining = True
        self._sender.control(
            frames.goaway(frames.LARGEST_STREAM_ID, ErrorCode.NO_ERROR, "draining")
            + frames.frame(frames.PING, 0, 0, _DRAIN_PING)
        )
        if not self._has_settings:
            self._finish_drain()

    def close(self) -> None:
        """Close now; open streams are abandoned."""
        self._fail(ErrorCode.NO_ERROR, "closing")

    def abort(self) -> None:
        """Close now, without waiting for the peer to read what it was sent."""
        self.close()
        if self._transport is not None:
            self._transport.abort()

    def on_timeout(self) -> None:
        """Find out whether the peer is still there; called by `Timeouts`."""
        if self._transport is None:
            return
        if self._is_closing:
            self.abort()
        elif not self._has_settings:
            self._fail(ErrorCode.SETTINGS_TIMEOUT, "no preface and SETTINGS in time")
        elif self._heard:
            self._heard = False
            self._timer = self._timeouts.add(self, self._limits.keepalive_s)
            self._asked = False
        elif not self._asked:
            self._asked = True
            self._sender.control(frames.frame(frames.PING, 0, 0, _ALIVE_PING))
            self._timer = self._timeouts.add(self, self._limits.keepalive_timeout_s)
        else:
            self._fail(ErrorCode.NO_ERROR, "no answer to PING")

    # Receiving

    def _receive(self, data: bytes) -> None:
        position = 0
        if self._data_left:
            position = self._continue_data(data)
        elif self._partial or not self._has_preface:
            whole = self._collect(data)
            if whole is None:
                return
            data = whole
            if not self._has_preface:
                self._check_preface(data)
                position = len(frames.PREFACE)
        position = self._receive_frames(data, position)
        if position < len(data) and not self._is_closing:
            self._partial += memoryview(data)[position:]

    def _receive_frames(self, data: bytes, position: int) -> int:
        """Process what is there; return where the first unfinished frame begins (DATA is taken in parts)."""
        end = len(data)
        handlers = self._handlers
        limit = self._limits.max_frame_bytes
        while end - position >= 9:
            high, low, kind, flags, stream_id = _unpack(data, position)
            length = high << 8 | low
            if length > limit:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes, limit {limit}")
            if self._block is not None and kind != CONTINUATION:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame between HEADERS and CONTINUATION")
            if not self._has_settings and (kind != SETTINGS or flags & ACK):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            start = position + 9
            stop = start + length
            if stop > end and (kind != DATA or flags & PADDED):
                self._needed = 9 + length
                return position
            if kind < 10:
                handlers[kind](flags, stream_id & 0x7FFFFFFF, data, start, stop)
                if self._is_closing:
                    return end
            else:
                self._control.spend()  # unknown types are ignored (section 4.1)
            position = stop
        self._needed = 9
        return position

    def _collect(self, data: bytes) -> bytes | None:
        """Return all bytes from the last unfinished frame on, None while it is unfinished still."""
        partial = self._partial
        partial += data
        if not self._has_preface and not frames.PREFACE.startswith(partial[:24]):
            self._check_preface(bytes(partial))
        if len(partial) < self._needed:
            return None
        whole = bytes(partial)
        partial.clear()
        return whole

    def _check_preface(self, data: bytes) -> None:
        if data.startswith(frames.PREFACE):
            self._has_preface = True
            self._send_settings()
            return
        if self._transport is not None and data[:1].isalpha():  # most likely HTTP/1.1: say so in its words
            self._transport.write(_HTTP1_ANSWER)
            self._close_transport()
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")

    def _send_settings(self) -> None:
        limits = self._limits
        self._sender.control(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
                    frames.MAX_FRAME_SIZE: limits.max_frame_bytes,
                    frames.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
                }
            )
            + frames.window_update(0, limits.connection_window_bytes - frames.DEFAULT_WINDOW)
        )

    def _on_data(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        length = stop - start
        self._credit -= length
        if self._credit < self._limits.connection_window_bytes >> 1:
            self._widen()
        stream = self.streams.get(stream_id)
        if stream is None or stream.remote_ended:
            self._on_stray_data(stream_id, stream, stop - len(data))
            return
        if flags & PADDED:
            start, stop = _unpadded(data, start, stop)
        stream.credit -= length
        ended = flags & END_STREAM != 0
        if stream.credit < self._limits.stream_window_bytes >> 1 and not ended:
            if stream.credit < 0:
                self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
                self._skip(stop - len(data))
                return
            self._sender.restore_credit(stream)
        if not length and not ended:
            self._control.spend()
        if stream.body_left >= 0 and not _fits(stream, stop - start, ended):
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
            self._skip(stop - len(data))
            return
        available = len(data)
        if stop > available:
            self._data_stream, self._data_left, self._data_ended = stream, stop - available, ended
            if start < available:
                stream.receiver.on_data(data, start, available, False)
            return
        stream.remote_ended = ended
        stream.receiver.on_data(data, start, stop, ended)

    def _continue_data(self, data: bytes) -> int:
        """Hand on more of a DATA frame; return where the next frame begins."""
        size = min(self._data_left, len(data))
        self._data_left -= size
        stream = self._data_stream
        if stream is not None and stream.is_open:
            ended = self._data_ended and not self._data_left
            stream.remote_ended = ended
            stream.receiver.on_data(data, 0, size, ended)
        if not self._data_left:
            self._data_stream = None
        return size

    def _skip(self, missing: int) -> None:
        """Drop the rest of a DATA frame that is still to come."""
        if missing > 0:
            self._data_stream, self._data_left = None, missing

    def _on_stray_data(self, stream_id: int, stream: Stream | None, missing: int) -> None:
        """DATA for a stream that has ended on either side."""
        self._check_not_idle(stream_id, "DATA")
        self._control.spend()
        if stream is not None:
            self._reset(stream, ErrorCode.STREAM_CLOSED)
        elif stream_id not in self._reset_ids:
            self._sender.answer(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))
        self._skip(missing)

    def _widen(self) -> None:
        if self._credit < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        full = self._limits.connection_window_bytes
        self._sender.control(frames.window_update(0, full - self._credit))
        self._credit = full

    def _on_headers(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        if flags & (PADDED | PRIORITY_FLAG):
            if flags & PADDED:
                start, stop = _unpadded(data, start, stop)
            if flags & PRIORITY_FLAG:
                start += 5
                if start > stop:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        ended = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._on_block(stream_id, data[start:stop], ended)
            return
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        self._block = bytearray(data[start:stop])
        self._block_stream_id, self._block_ended, self._continuations = stream_id, ended, 0

    def _on_continuation(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without its HEADERS")
        block += memoryview(data)[start:stop]
        self._continuations += 1
        if len(block) > self._limits.max_header_list_bytes or self._continuations > _MAX_CONTINUATIONS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "the header block has no end")
        if flags & END_HEADERS:
            self._block = None
            self._on_block(stream_id, bytes(block), self._block_ended)

    def _on_block(self, stream_id: int, block: bytes, ended: bool) -> None:
        if stream_id <= self.last_stream_id or not stream_id & 1:
            self._on_trailers(stream_id, block, ended)
            return
        head = self._heads.get(block)
        if head is None:
            if len(block) > self._limits.max_header_list_bytes:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "the header block is too long")
            head = self._decoder.decode(block)
        self.last_stream_id = stream_id
        if self._refuses_new:
            self._remember_reset(stream_id)
            return  # above the last stream id of our GOAWAY: the peer knows that it was not processed
        sender = self._sender
        if len(self.streams) >= self._limits.max_concurrent_streams:
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
            return
        if type(head) is Malformed:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        stream = Stream(stream_id, sender, sender.initial_window, self._limits.stream_window_bytes, ended)
        self.streams[stream_id] = stream
        stream.receiver = self._application.on_request(stream, head, ended)

    def _on_trailers(self, stream_id: int, block: bytes, ended: bool) -> None:
        """A second block on a stream, or a stream id that must not be."""
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        fields = self._decoder.decode_fields(block)
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id in self._reset_ids:
                return
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"HEADERS on closed stream {stream_id}")
        if stream.remote_ended:
            self._reset(stream, ErrorCode.STREAM_CLOSED)
        elif not ended or fault_of_trailers(fields) or stream.body_left > 0:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.remote_ended = True
            stream.receiver.on_data(b"", 0, 0, True)

    def _on_priority(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        self._control.spend()
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if stop - start != 5:
            stream = self.streams.get(stream_id)
            if stream is None:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is 5 bytes")
            self._reset(stream, ErrorCode.FRAME_SIZE_ERROR)

    def _on_rst_stream(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        if stop - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is 4 bytes")
        self._check_not_idle(stream_id, "RST_STREAM")
        self._resets.spend()
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._sender.forget(stream)
            stream.is_open = False
            stream.receiver.on_reset(_error_code(data, start))
            self._finish_drain()

    def _on_settings(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        self._control.spend()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & ACK:
            if stop != start:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
            return
        apply_settings(data[start:stop], self._sender, self.streams)
        if not self._has_settings:
            self._has_settings = True
            self._timer.discard(self)
            self._timer = self._timeouts.add(self, self._limits.keepalive_s)
        self._sender.answer(frames.frame(SETTINGS, ACK, 0))

    def _on_push_promise(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_ping(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        self._control.spend()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if stop - start != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is 8 bytes")
        if not flags & ACK:
            self._sender.answer(frames.frame(frames.PING, ACK, 0, data[start:stop]))
        elif self._is_draining and data[start:stop] == _DRAIN_PING and not self._refuses_new:
            self._refuses_new = True
            self._final_stream_id = self.last_stream_id
            self._sender.control(frames.goaway(self.last_stream_id, ErrorCode.NO_ERROR, "drained"))
            self._finish_drain()

    def _on_goaway(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        self._control.spend()
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if stop - start < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is at least 8 bytes")

    def _on_window_update(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        if stop - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is 4 bytes")
        increment = int.from_bytes(data[start:stop], "big") & 0x7FFFFFFF
        if not stream_id:
            if not increment:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self._sender.widen(increment)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id, "WINDOW_UPDATE")
        elif not increment:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
        elif not self._sender.widen_stream(stream, increment):
            self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR)

    # Ends

    def _check_not_idle(self, stream_id: int, what: str) -> None:
        if stream_id > self.last_stream_id or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on idle stream {stream_id}")

    def _refuse(self, stream_id: int, code: ErrorCode) -> None:
        self._resets.spend()
        self._remember_reset(stream_id)
        self._sender.answer(frames.rst_stream(stream_id, code))

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream for the peer's fault."""
        self._resets.spend()
        stream.reset(code)
        stream.receiver.on_reset(code)

    def _remember_reset(self, stream_id: int) -> None:
        if len(self._reset_ids) >= _REMEMBERED_RESETS:
            del self._reset_ids[next(iter(self._reset_ids))]
        self._reset_ids[stream_id] = None

    def _on_stream_end(self, stream: Stream) -> None:
        """The sender has queued a stream's last frame."""
        stream.is_open = False
        del self.streams[stream.id]
        if not stream.remote_ended:
            self._remember_reset(stream.id)
        if self._is_draining:
            self._finish_drain()

    def _finish_drain(self) -> None:
        if self._is_draining and not self.streams and (self._refuses_new or not self._has_settings):
            self._close_transport()

    def _fail(self, code: ErrorCode, reason: str) -> None:
        if self._is_closing:
            return
        _log.debug("HTTP/2 connection ends: %s %s", code.name, reason)
        if self._has_preface:
            last = self._final_stream_id if self._refuses_new else self.last_stream_id
            self._sender.control(frames.goaway(last, code, reason))
        self._close_transport()
        self._abandon_streams()

    def _close_transport(self) -> None:
        self._sender.flush()
        self._is_closing = True
        self._timer.discard(self)
        if self._transport is not None:
            self._timer = self._timeouts.add(self, _CLOSE_S)
            self._transport.close()

    def _abandon_streams(self) -> None:
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            self._sender.forget(stream)
            stream.is_open = False
            stream.receiver.on_reset(ErrorCode.CANCEL)


def _unpadded(data: bytes, start: int, stop: int) -> tuple[int, int]:
    padding = data[start] + 1 if stop > start else 1
    if padding > stop - start:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return start + 1, stop - padding + 1


def _fits(stream: Stream, size: int, ended: bool) -> bool:
    """Count a body against its content-length."""
    stream.body_left -= size
    return stream.body_left >= 0 and not (ended and stream.body_left)


def _error_code(data: bytes, start: int) -> ErrorCode:
    try:
        return ErrorCode(int.from_bytes(data[start : start + 4], "big"))
    except ValueError:
        return ErrorCode.INTERNAL_ERROR  # unknown codes have no special meaning (section 7)
