"""A client's end of a connection held in memory: raw frames in, parsed frames out. No sockets, no clock."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder, Encoder

from hekla.serve.http2 import frames
from hekla.serve.http2.connection import Connection
from hekla.serve.http2.frames import ErrorCode
from hekla.serve.http2.header_blocks import encode_block
from hekla.serve.http2.header_decoder import Fields
from hekla.serve.http2.limits import ConnectionLimits
from hekla.serve.http2.request_head import Malformed, RequestHead, read_request
from hekla.serve.http2.stream import Receiver, Stream
from hekla.serve.http2.timeouts import Timeouts

REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "here")]
HEAD = encode_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
TRAILERS = encode_block([(b"grpc-status", b"0")])


class ManualLoop:
    """Runs what was called soon when told to; timers never fire."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object], /) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], object], /) -> "ManualLoop":
        return self

    def cancel(self) -> None:
        """As a timer."""

    def run(self) -> None:
        while self.soon:
            self.soon.pop(0)()


class MemoryTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.is_closed = self.is_aborted = False

    def write(self, data: Any) -> None:  # Any: any buffer
        self.written += data
        self.writes += 1

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


@dataclass
class Frame:
    """A frame as it came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> ErrorCode:
        """Of RST_STREAM and GOAWAY."""
        return ErrorCode(int.from_bytes(self.payload[-4:] if self.kind == frames.RST_STREAM else self.payload[4:8]))


class Echo:
    """Answers a request with its own body when it is whole, unless told to wait."""

    def __init__(self) -> None:
        self.holds = False
        self.open: list[EchoReceiver] = []
        self.bodies: list[bytes] = []
        self.resets: list[ErrorCode] = []

    def read_head(self, fields: Fields) -> RequestHead | Malformed:
        return read_request(fields)

    def on_request(self, stream: Stream, head: RequestHead, ended: bool) -> Receiver:
        stream.body_left = head.content_length
        receiver = EchoReceiver(self, stream)
        self.open.append(receiver)
        if ended:
            receiver.on_data(b"", 0, 0, True)
        return receiver


@dataclass
class EchoReceiver:
    """One request of `Echo`."""

    echo: Echo
    stream: Stream
    body: bytearray = field(default_factory=bytearray)

    def on_data(self, chunk: bytes, start: int, end: int, ended: bool) -> None:
        self.body += chunk[start:end]
        if ended:
            self.echo.bodies.append(bytes(self.body))
            if not self.echo.holds:
                self.stream.respond(HEAD, bytes(self.body), TRAILERS)

    def on_reset(self, code: ErrorCode) -> None:
        self.echo.resets.append(code)


class Peer:
    """A client that says exactly the bytes a test wants."""

    def __init__(
        self,
        limits: ConnectionLimits | None = None,
        *,
        greets: bool = True,
        application: "Echo | None" = None,
        door: Callable[[ManualLoop], Callable[[], Connection]] | None = None,
    ) -> None:
        self.loop = ManualLoop()
        self.transport = MemoryTransport()
        self.echo = application or Echo()
        self.closed: list[Connection] = []
        self.encoder, self.decoder = Encoder(), Decoder()
        self._unread = bytearray()
        if door is not None:
            self.connection = door(self.loop)()
        else:
            self.connection = Connection(
                self.echo, limits or ConnectionLimits(), Timeouts(self.loop), self.closed.append, self.loop
            )
        self.connection.connection_made(self.transport)
        if greets:
            self.send(frames.PREFACE + frames.settings({}))
            assert [frame.kind for frame in self.read()] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]

    def send(self, data: bytes) -> None:
        """Hand bytes to the server, all at once."""
        self.connection.data_received(data)

    def request(self, stream_id: int, body: bytes | None = None, fields: Sequence[tuple[str, str]] = REQUEST) -> bytes:
        """Return the frames of a request; None: without body."""
        block: bytes = self.encoder.encode(fields, huffman=False)
        end = frames.END_HEADERS | (frames.END_STREAM if body is None else 0)
        out = frames.frame(frames.HEADERS, end, stream_id, block)
        return out if body is None else out + frames.frame(frames.DATA, frames.END_STREAM, stream_id, body)

    def read(self) -> list[Frame]:
        """Return the frames that came since the last call."""
        self.loop.run()
        data = self._unread + self.transport.written
        self.transport.written.clear()
        out: list[Frame] = []
        position = 0
        while len(data) - position >= 9:
            high, low, kind, flags, stream_id = frames.HEADER.unpack_from(data, position)
            end = position + 9 + (high << 8 | low)
            if end > len(data):
                break
            out.append(Frame(kind, flags, stream_id, bytes(data[position + 9 : end])))
            position = end
        self._unread = data[position:]
        return out

    def answer_to(self, stream_id: int) -> bytes:
        """Read, and return the body of the whole answer on a stream."""
        mine = [frame for frame in self.read() if frame.stream_id == stream_id]
        assert mine[0].kind == mine[-1].kind == frames.HEADERS
        assert mine[-1].flags & frames.END_STREAM
        assert dict(self.decoder.decode(mine[0].payload, raw=True))[b":status"] == b"200"
        assert dict(self.decoder.decode(mine[-1].payload, raw=True)) == {b"grpc-status": b"0"}
        return b"".join(frame.payload for frame in mine if frame.kind == frames.DATA)
