"""HTTP/2 that no gRPC library would send to the gRPC door."""

import contextlib
import socket
import struct
from collections.abc import Iterator

import grpc
import pytest
from hpack import Decoder, Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame
from tests.running_server import RunningServer
from tritonclient.grpc import service_pb2, service_pb2_grpc

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TIMEOUT_S = 30.0
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7  # frame types
_HEAD = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/inference.GRPCInferenceService/ServerLive"),
    (":authority", "test"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
_EMPTY_MESSAGE = b"\0\0\0\0\0"  # uncompressed, no bytes: a ServerLiveRequest


class Http2:
    """One connection to the gRPC door that sends exactly the frames it is told to."""

    def __init__(self, server: RunningServer) -> None:
        host, port = server.grpc_address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self.encoder = Encoder()

    def begin(self) -> "Http2":
        """Send the preface and empty settings."""
        return self.send(_PREFACE, SettingsFrame(0))

    def send(self, *pieces: Frame | bytes) -> "Http2":
        """Send frames; a server that has closed already is no fault."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"".join(p if isinstance(p, bytes) else p.serialize() for p in pieces))
        return self

    def head(self, stream: int, *more: tuple[str, str], flags: tuple[str, ...] = ("END_HEADERS",)) -> HeadersFrame:
        """Return the HEADERS frame of a call."""
        frame = HeadersFrame(stream, self.encoder.encode([*_HEAD, *more]))
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def read_to_end(self) -> bytes:
        """Read until the server closes the connection."""
        everything = b""
        try:
            while piece := self.socket.recv(65536):
                everything += piece
        except ConnectionError:
            pass
        return everything

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, stream and payload of each frame until the server closes the connection."""
        unread = b""
        while True:
            while len(unread) >= 9 and len(unread) >= 9 + (length := int.from_bytes(unread[:3], "big")):
                yield unread[3], int.from_bytes(unread[5:9], "big"), unread[9 : 9 + length]
                unread = unread[9 + length :]
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                return
            if not piece:
                return
            unread += piece

    def wait_for(self, kind: int) -> bytes:
        """Read frames until one of this type; return its payload."""
        for found, _, payload in self.frames():
            if found == kind:
                return payload
        raise AssertionError(f"the connection ended before a frame of type {kind}")

    def wait_for_refusal(self, stream: int) -> None:
        """Read until the call is answered with a status other than 0, reset, or the connection is closed."""
        decoder = Decoder()
        for kind, at, payload in self.frames():
            if kind == _GOAWAY or (kind == _RST_STREAM and at == stream):
                return
            if kind == _HEADERS:
                fields = dict(decoder.decode(payload, raw=True))
                if b"grpc-status" in fields:
                    assert fields[b"grpc-status"] != b"0"
                    return


@pytest.fixture
def connection(server: RunningServer) -> Iterator[Http2]:
    made = Http2(server)
    yield made
    made.socket.close()


@pytest.fixture(autouse=True)
def the_grpc_door_still_answers(server: RunningServer) -> Iterator[None]:
    """After every fault a proper client must be served."""
    yield
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=_TIMEOUT_S).live


def _data(stream: int, payload: bytes, *flags: str) -> DataFrame:
    frame = DataFrame(stream, payload)
    for flag in flags:
        frame.flags.add(flag)
    return frame


def test_a_call_in_hand_made_frames_is_answered(connection: Http2) -> None:
    connection.begin().send(connection.head(1), _data(1, _EMPTY_MESSAGE, "END_STREAM"))
    assert connection.wait_for(_DATA)[5:] == b"\x08\x01"  # live = true


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\0" * 100,
    ],
    ids=["http/1.1", "tls", "wrong preface", "zeros"],
)
def test_what_is_not_http2_ends_the_connection(connection: Http2, opening: bytes) -> None:
    connection.send(opening)
    connection.read_to_end()


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",  # a frame of 16 MB
        DataFrame(1, b"data for a stream that is not open"),
        HeadersFrame(2, b""),  # even numbers are the server's
        b"\x00\x00\x00\x01\x04\x00\x00\x00\x00",  # HEADERS on the connection itself
        ContinuationFrame(1, b""),
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00" + bytes(5),  # SETTINGS of 5 bytes
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + bytes(4),  # WINDOW_UPDATE of 0
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + struct.pack(">I", 2**31 - 1),  # a window over its maximum
    ],
    ids=repr,
)
def test_a_broken_frame_ends_the_connection_with_goaway(connection: Http2, frames: Frame | bytes) -> None:
    connection.begin().send(frames)
    connection.wait_for(_GOAWAY)
    connection.read_to_end()


def test_a_header_block_that_is_no_hpack_ends_the_connection(connection: Http2) -> None:
    frame = HeadersFrame(1, b"\xff\xff\xff\xff\xff\xff\xff")
    frame.flags.add("END_HEADERS")
    connection.begin().send(frame)
    connection.wait_for(_GOAWAY)


def test_a_flood_of_continuations_is_cut_off(connection: Http2) -> None:
    connection.begin().send(connection.head(1, flags=()))
    for _ in range(2000):
        connection.send(ContinuationFrame(1, b"\x00" + b"\x01a" + b"\x7f\x80\x01" + b"x" * 255))
    connection.read_to_end()


def test_headers_that_unpack_to_megabytes_are_refused(connection: Http2) -> None:
    # One long value in the dynamic table, named by one byte thousands of times.
    bomb = [("x-bomb", "b" * 4000)] * 4000
    block = connection.encoder.encode([*_HEAD, *bomb])
    frame = HeadersFrame(1, block)
    frame.flags.add("END_HEADERS")
    frame.flags.add("END_STREAM")
    assert len(block) < 16_384
    connection.begin().send(frame)
    connection.wait_for_refusal(1)


def test_a_flood_of_resets_is_cut_off(connection: Http2) -> None:
    connection.begin()
    for stream in range(1, 20_001, 2):
        connection.send(connection.head(stream), RstStreamFrame(stream, 8))
    connection.read_to_end()


def test_a_flood_of_pings_does_not_pile_up_answers(connection: Http2) -> None:
    connection.begin()
    for number in range(20_000):
        connection.send(PingFrame(0, number.to_bytes(8, "big")))
    connection.read_to_end()


def test_a_message_longer_than_the_limit_is_refused_by_its_length(connection: Http2) -> None:
    prefix = b"\0" + struct.pack(">I", 2**31)
    connection.begin().send(connection.head(1), _data(1, prefix))
    connection.wait_for_refusal(1)


def test_a_message_that_ends_early_is_refused(connection: Http2) -> None:
    connection.begin().send(connection.head(1), _data(1, b"\0\0\0\0\x09abc", "END_STREAM"))
    connection.wait_for_refusal(1)
