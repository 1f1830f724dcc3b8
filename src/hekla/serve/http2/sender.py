"""The sending side of a connection: flow control (RFC 9113 section 5.2) and one write per turn of the loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from hekla.serve.http2 import frames
from hekla.serve.http2.frames import ConnectionFault, ErrorCode
from hekla.serve.http2.header_blocks import EMPTY_TABLE
from hekla.serve.http2.loop import Loop
from hekla.serve.http2.stream import Buffer, Stream

_JOIN_BYTES = 128 << 10  # below this, one copied write is cheaper than many buffers handed to the transport
_MAX_PILED_UP_BYTES = 4 << 20  # of answers on one stream before its requests are held back
_MAX_UNREAD_ANSWERS = 10_000  # control frames a peer that reads nothing may make us queue
_pack = frames.HEADER.pack


class Sender:
    """Frames out. `on_end` is called when a stream's last frame is queued; the stream is closed then."""

    def __init__(self, loop: Loop, stream_credit: int, on_end: Callable[[Stream], None]) -> None:
        self.window = frames.DEFAULT_WINDOW  # the connection's
        self.initial_window = frames.DEFAULT_WINDOW  # of streams to come
        self.max_frame = frames.DEFAULT_FRAME_SIZE
        self.shrink_table = False  # the next block must begin with EMPTY_TABLE
        self._loop = loop
        self._stream_credit = stream_credit
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._out: list[Buffer] = []
        self._out_bytes = 0
        self._is_flush_due = False
        self._is_paused = False
        self._unread_answers = 0
        self._waiting: dict[Stream, None] = {}  # streams with pending data, in the order they are served

    def attach(self, transport: asyncio.Transport | None) -> None:
        """Begin to write to a transport; None: write nowhere."""
        self._transport = transport

    def control(self, data: bytes) -> None:
        """Queue frames outside flow control."""
        self._write(data, len(data))

    def answer(self, data: bytes) -> None:
        """Queue a frame the peer made us send. Errors: ConnectionFault if it makes us queue without reading."""
        if self._is_paused:
            self._unread_answers += 1
            if self._unread_answers > _MAX_UNREAD_ANSWERS:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
        self._write(data, len(data))

    def respond(self, stream: Stream, headers: bytes, body: bytes, trailers: bytes) -> None:
        """Send a whole answer, in one piece where the windows allow. The blocks are under 256 bytes."""
        size = len(body)
        if (
            size > stream.window
            or size > self.window
            or size > self.max_frame
            or self._is_paused
            or self.shrink_table
            or not size
        ):
            self.send_headers(stream, headers)
            self.send_data(stream, (body,))
            self.end(stream, trailers)
            return
        self.window -= size
        stream_id = stream.id
        answer = b"".join(
            (
                _pack(0, len(headers), frames.HEADERS, frames.END_HEADERS, stream_id),
                headers,
                _pack(size >> 8, size & 255, frames.DATA, 0, stream_id),
                body,
                _pack(0, len(trailers), frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id),
                trailers,
            )
        )
        self._write(answer, len(answer))
        self._end(stream)

    def send_headers(self, stream: Stream, headers: bytes) -> None:
        """Send a header block that does not end the stream."""
        self._write(self._block(stream, headers, 0), len(headers))

    def send_data(self, stream: Stream, buffers: Sequence[Buffer]) -> None:
        """Queue body bytes, and send what the windows allow."""
        pending = stream.pending
        if pending is None:
            pending = stream.pending = deque()
        for buffer in buffers:
            if size := len(buffer):
                pending.append(buffer)
                stream.pending_bytes += size
        if stream.pending_bytes and stream not in self._waiting:
            self._waiting[stream] = None
            self._send_waiting()

    def end(self, stream: Stream, trailers: bytes) -> None:
        """End the stream behind what is queued for it."""
        stream.trailers = trailers
        if not stream.pending_bytes:
            self._finish(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream now; what was queued for it is dropped."""
        self.forget(stream)
        self._write(frames.rst_stream(stream.id, code), frames.HEADER_SIZE)
        self._on_end(stream)

    def forget(self, stream: Stream) -> None:
        """Drop what is queued for a stream."""
        self._waiting.pop(stream, None)
        stream.pending = None
        stream.pending_bytes = 0

    def widen(self, increment: int) -> None:
        """The peer lets us send more on the connection. Errors: ConnectionFault on overflow."""
        self.window += increment
        if self.window > frames.LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window above 2^31-1")
        if self._waiting:
            self._send_waiting()

    def widen_stream(self, stream: Stream, increment: int) -> bool:
        """The peer lets us send more on a stream. False on overflow."""
        stream.window += increment
        if stream.window > frames.LARGEST_WINDOW:
            return False
        if stream.pending_bytes and stream not in self._waiting:
            self._waiting[stream] = None
            self._send_waiting()
        return True

    def pause(self) -> None:
        """The transport's buffer is full: hold DATA back."""
        self._is_paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._is_paused = False
        self._unread_answers = 0
        self._send_waiting()

    def flush(self) -> None:
        """Write what has gathered."""
        self._is_flush_due = False
        out = self._out
        if not out:
            return
        self._out = []
        size, self._out_bytes = self._out_bytes, 0
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if len(out) == 1:
            transport.write(out[0])
        elif size <= _JOIN_BYTES:
            transport.write(b"".join(out))
        else:
            transport.writelines(out)

    def _write(self, data: Buffer, size: int) -> None:
        self._out.append(data)
        self._out_bytes += size
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)

    def _block(self, stream: Stream, block: bytes, flags: int) -> bytes:
        """Return HEADERS and, for a block above the frame size, CONTINUATION frames."""
        if self.shrink_table:
            self.shrink_table = False
            block = EMPTY_TABLE + block
        limit = self.max_frame
        if len(block) <= limit:
            return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, stream.id, block)
        parts = [block[start : start + limit] for start in range(0, len(block), limit)]
        out = frames.frame(frames.HEADERS, flags, stream.id, parts[0])
        for part in parts[1:-1]:
            out += frames.frame(frames.CONTINUATION, 0, stream.id, part)
        return out + frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream.id, parts[-1])

    def _send_waiting(self) -> None:
        """Give each waiting stream one frame in turn, while the windows last."""
        waiting = self._waiting
        while waiting and self.window > 0 and not self._is_paused:
            stream = next(iter(waiting))
            del waiting[stream]
            if stream.window <= 0:
                continue  # comes back with its WINDOW_UPDATE
            self._send_frame(stream)
            if stream.pending_bytes:
                waiting[stream] = None
                continue
            if stream.trailers is not None:
                self._finish(stream)
            elif stream.withheld:
                self.restore_credit(stream)

    def restore_credit(self, stream: Stream) -> None:
        """Let the peer send a whole window again, unless answers pile up on the stream: then once they are sent."""
        if stream.pending_bytes > _MAX_PILED_UP_BYTES:
            stream.withheld = True
            return
        stream.withheld = False
        self.control(frames.window_update(stream.id, self._stream_credit - stream.credit))
        stream.credit = self._stream_credit

    def _send_frame(self, stream: Stream) -> None:
        size = min(stream.pending_bytes, stream.window, self.window, self.max_frame)
        stream.pending_bytes -= size
        stream.window -= size
        self.window -= size
        self._write(_pack(size >> 8, size & 255, frames.DATA, 0, stream.id), frames.HEADER_SIZE)
        pending = stream.pending
        assert pending is not None
        while size:
            buffer = pending[0]
            length = len(buffer)
            if length <= size:
                self._write(pending.popleft(), length)
                size -= length
            else:
                view = memoryview(buffer)
                self._write(view[:size], size)
                pending[0] = view[size:]
                size = 0

    def _finish(self, stream: Stream) -> None:
        assert stream.trailers is not None
        block = self._block(stream, stream.trailers, frames.END_STREAM)
        self._write(block, len(block))
        self._end(stream)

    def _end(self, stream: Stream) -> None:
        if not stream.remote_ended:
            # Answered before the request was whole: the peer need not send the rest (RFC 9113 section 8.1).
            self._write(frames.rst_stream(stream.id, ErrorCode.NO_ERROR), frames.HEADER_SIZE)
        self._on_end(stream)
