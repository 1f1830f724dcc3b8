"""The floor: the cheapest answer a Python front end can give, with no model behind it.

HTTP/1.1 on one port: uvloop and httptools, the request's body echoed. gRPC on another: HTTP/2 frames read as bytes,
each call answered with its own message. A server that parses tensors and computes is measured against these.
"""

import argparse
import asyncio
import struct
from typing import cast

import hpack
import httptools
import uvloop

from benchmarks.serve.grpc import frame

_PREFACE_BYTES = 24
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_WINDOW = 1 << 24


class EchoHttp(asyncio.Protocol):
    """Answers each request with its body; GET with nothing."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's do not descend from asyncio's

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Read the target as any front end must; there is one route here."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """See the headers as any front end must."""

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        assert self._transport is not None
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


class EchoGrpc(asyncio.Protocol):
    """Answers each call with its own message."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._blocks: tuple[bytes, bytes] | None = None
        self._rest = b""
        self._missing_preface = _PREFACE_BYTES
        self._received_bytes = 0
        self._messages: dict[int, list[bytes]] = {}
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's do not descend from asyncio's
        self._transport.write(
            frame(_SETTINGS, 0, 0, struct.pack(">HI", 0x4, _WINDOW))
            + frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW))
        )

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if self._missing_preface:
            if len(data) < self._missing_preface:
                self._rest = data
                return
            data, self._missing_preface = data[self._missing_preface :], 0
        at, end = 0, len(data)
        answers: list[bytes] = []
        while at + 9 <= end:
            stop = at + 9 + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
            if stop > end:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9])
            if kind == _DATA:
                self._received_bytes += stop - at - 9
                self._messages.setdefault(stream, []).append(data[at + 9 : stop])
                if flags & _END_STREAM:
                    answers.append(self._answer(stream))
            elif kind == _SETTINGS and not flags & _ACK:
                answers.append(frame(_SETTINGS, _ACK, 0))
            elif kind == _PING and not flags & _ACK:
                answers.append(frame(_PING, _ACK, 0, data[at + 9 : stop]))
            at = stop
        self._rest = data[at:]
        if self._received_bytes > _WINDOW // 2:
            answers.append(frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received_bytes)))
            self._received_bytes = 0
        assert self._transport is not None
        self._transport.write(b"".join(answers))

    def _encode_blocks(self) -> tuple[bytes, bytes]:
        head: bytes = self._encoder.encode([(":status", "200"), ("content-type", "application/grpc")])
        trailers: bytes = self._encoder.encode([("grpc-status", "0")])
        return head, trailers

    def _answer(self, stream: int) -> bytes:
        head, trailers = self._blocks or self._encode_blocks()
        if not self._blocks:
            # The first answer puts its fields into the client's table, the later ones are indices into it.
            self._blocks = self._encode_blocks()
        payload = b"".join(self._messages.pop(stream))
        frames = [frame(_HEADERS, _END_HEADERS, stream, head)]
        frames += [frame(_DATA, 0, stream, payload[start : start + 16384]) for start in range(0, len(payload), 16384)]
        return b"".join([*frames, frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, trailers)])


async def serve(http_port: int, grpc_port: int) -> None:
    """Serve both floors until cancelled."""
    loop = asyncio.get_running_loop()
    http = await loop.create_server(EchoHttp, "127.0.0.1", http_port)
    grpc = await loop.create_server(EchoGrpc, "127.0.0.1", grpc_port)
    await asyncio.gather(http.serve_forever(), grpc.serve_forever())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.http_port, arguments.grpc_port))
