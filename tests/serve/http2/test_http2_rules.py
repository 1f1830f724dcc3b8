"""Each rule of RFC 9113 a client can break, and the code it must be answered with."""

import struct

import pytest
from tests.serve.http2.http2_peer import REQUEST, Echo, Peer

from hekla.serve.http2 import frames
from hekla.serve.http2.frames import ErrorCode, frame
from hekla.serve.http2.limits import ConnectionLimits
from hekla.serve.http2.request_head import RequestHead
from hekla.serve.http2.stream import Receiver, Stream

HEAD_FIELDS = frames.END_HEADERS
BLOCK = b"\x83\x86\x84\x01\x01x"  # POST, http, "/", authority x


def settings(name: int, value: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, struct.pack(">HI", name, value))


CONNECTION_FAULTS = [
    ("a frame above the limit", frame(frames.DATA, 0, 1)[:0] + b"\xff\xff\xff\0\0\0\0\0\1", "FRAME_SIZE_ERROR"),
    ("DATA on stream 0", frame(frames.DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    ("DATA on an idle stream", frame(frames.DATA, 0, 5, b"x"), "PROTOCOL_ERROR"),
    ("HEADERS on stream 0", frame(frames.HEADERS, HEAD_FIELDS, 0, BLOCK), "PROTOCOL_ERROR"),
    ("HEADERS on an even stream", frame(frames.HEADERS, HEAD_FIELDS, 2, BLOCK), "PROTOCOL_ERROR"),
    ("HEADERS padded beyond its end", frame(frames.HEADERS, 0xC, 3, b"\x09" + BLOCK), "PROTOCOL_ERROR"),
    ("HEADERS too short for its priority", frame(frames.HEADERS, 0x24, 3, b"\0\0"), "FRAME_SIZE_ERROR"),
    ("a damaged header block", frame(frames.HEADERS, HEAD_FIELDS, 3, b"\xff\xff\xff"), "COMPRESSION_ERROR"),
    ("an index beyond the table", frame(frames.HEADERS, HEAD_FIELDS, 3, b"\xfe"), "COMPRESSION_ERROR"),
    ("a table larger than allowed", frame(frames.HEADERS, HEAD_FIELDS, 3, b"\x3f\xe2\x1f\x83"), "COMPRESSION_ERROR"),
    ("PRIORITY on stream 0", frame(frames.PRIORITY, 0, 0, bytes(5)), "PROTOCOL_ERROR"),
    ("RST_STREAM on stream 0", frame(frames.RST_STREAM, 0, 0, bytes(4)), "PROTOCOL_ERROR"),
    ("RST_STREAM on an idle stream", frame(frames.RST_STREAM, 0, 5, bytes(4)), "PROTOCOL_ERROR"),
    ("RST_STREAM of 3 bytes", frame(frames.RST_STREAM, 0, 1, bytes(3)), "FRAME_SIZE_ERROR"),
    ("SETTINGS on a stream", frame(frames.SETTINGS, 0, 1), "PROTOCOL_ERROR"),
    ("SETTINGS of 5 bytes", frame(frames.SETTINGS, 0, 0, bytes(5)), "FRAME_SIZE_ERROR"),
    ("SETTINGS ACK with a payload", frame(frames.SETTINGS, frames.ACK, 0, bytes(6)), "FRAME_SIZE_ERROR"),
    ("ENABLE_PUSH of 2", settings(frames.ENABLE_PUSH, 2), "PROTOCOL_ERROR"),
    ("a window setting above 2^31-1", settings(frames.INITIAL_WINDOW_SIZE, 1 << 31), "FLOW_CONTROL_ERROR"),
    ("a frame size below 2^14", settings(frames.MAX_FRAME_SIZE, 16_383), "PROTOCOL_ERROR"),
    ("a frame size above 2^24-1", settings(frames.MAX_FRAME_SIZE, 1 << 24), "PROTOCOL_ERROR"),
    ("PUSH_PROMISE", frame(frames.PUSH_PROMISE, 0, 1, bytes(4)), "PROTOCOL_ERROR"),
    ("PING on a stream", frame(frames.PING, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
    ("PING of 7 bytes", frame(frames.PING, 0, 0, bytes(7)), "FRAME_SIZE_ERROR"),
    ("GOAWAY on a stream", frame(frames.GOAWAY, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
    ("WINDOW_UPDATE of 5 bytes", frame(frames.WINDOW_UPDATE, 0, 0, bytes(5)), "FRAME_SIZE_ERROR"),
    ("WINDOW_UPDATE of 0", frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), "PROTOCOL_ERROR"),
    ("a connection window above 2^31-1", frames.window_update(0, frames.LARGEST_WINDOW), "FLOW_CONTROL_ERROR"),
    ("WINDOW_UPDATE on an idle stream", frames.window_update(5, 1), "PROTOCOL_ERROR"),
    ("CONTINUATION without HEADERS", frame(frames.CONTINUATION, 4, 1, b""), "PROTOCOL_ERROR"),
    ("a frame inside a header block", frame(frames.HEADERS, 0, 3, BLOCK) + frame(6, 0, 0, bytes(8)), "PROTOCOL_ERROR"),
    ("CONTINUATION of another stream", frame(frames.HEADERS, 0, 3, BLOCK) + frame(9, 4, 5), "PROTOCOL_ERROR"),
]


@pytest.mark.parametrize(
    ("data", "code"), [row[1:] for row in CONNECTION_FAULTS], ids=[row[0] for row in CONNECTION_FAULTS]
)
def test_a_fault_of_the_connection_is_answered_with_goaway(data: bytes, code: str) -> None:
    peer = Peer()
    peer.echo.holds = True
    peer.send(peer.request(1, b"") + data)
    goaway = peer.read()[-1]
    assert (goaway.kind, goaway.code.name) == (frames.GOAWAY, code)
    assert int.from_bytes(goaway.payload[:4]) == 1
    assert peer.transport.is_closed
    assert peer.echo.resets == [ErrorCode.CANCEL]


STREAM_FAULTS = [
    ("WINDOW_UPDATE of 0", frames.window_update(1, 0), "PROTOCOL_ERROR"),
    ("a window above 2^31-1", frames.window_update(1, frames.LARGEST_WINDOW), "FLOW_CONTROL_ERROR"),
    ("PRIORITY of 4 bytes", frame(frames.PRIORITY, 0, 1, bytes(4)), "FRAME_SIZE_ERROR"),
    ("trailers that do not end the stream", frame(frames.HEADERS, HEAD_FIELDS, 1, b"\x00\x01a\x01b"), "PROTOCOL_ERROR"),
    ("trailers with a pseudo-header", frame(frames.HEADERS, HEAD_FIELDS | 1, 1, b"\x83"), "PROTOCOL_ERROR"),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in STREAM_FAULTS], ids=[row[0] for row in STREAM_FAULTS])
def test_a_fault_of_one_stream_ends_only_that_stream(data: bytes, code: str) -> None:
    peer = Peer()
    peer.send(frame(frames.HEADERS, HEAD_FIELDS, 1, BLOCK) + data)
    reset = peer.read()[-1]
    assert (reset.kind, reset.stream_id, reset.code.name) == (frames.RST_STREAM, 1, code)
    assert [reset.name for reset in peer.echo.resets] == [code]
    peer.send(peer.request(3, b"still here"))
    assert peer.answer_to(3) == b"still here"


def test_data_behind_the_end_of_a_request_resets_its_stream() -> None:
    for more in (frame(frames.DATA, 0, 1, b"x"), frame(frames.HEADERS, HEAD_FIELDS | 1, 1, b"\x00\x01a\x01b")):
        peer = Peer()
        peer.echo.holds = True
        peer.send(peer.request(1, b"x") + more)
        assert peer.read()[-1].code is ErrorCode.STREAM_CLOSED


def test_frames_on_a_stream_that_was_answered_are_refused_or_ignored_as_the_rfc_says() -> None:
    peer = Peer()
    peer.send(peer.request(1, b"x"))
    assert peer.answer_to(1) == b"x"
    peer.send(frames.window_update(1, 9) + frame(frames.RST_STREAM, 0, 1, bytes(4)) + frame(2, 0, 1, bytes(5)))
    assert peer.read() == []
    peer.send(frame(frames.DATA, 0, 1, b"x"))
    assert peer.read()[-1].code is ErrorCode.STREAM_CLOSED
    peer.send(peer.request(1, b"x"))
    assert peer.read()[-1].code is ErrorCode.STREAM_CLOSED
    assert peer.transport.is_closed


MALFORMED = [
    [(":method", "POST"), (":scheme", "http")],
    [(":method", "POST"), (":scheme", "http"), (":path", "")],
    [*REQUEST, (":path", "/again")],
    [*REQUEST, (":status", "200")],
    [*REQUEST[:3], ("a", "b"), REQUEST[3]],
    [*REQUEST, ("Upper", "x")],
    [*REQUEST, ("a b", "x")],
    [*REQUEST, ("", "x")],
    [*REQUEST, ("a", "x\r\ny: z")],
    [*REQUEST, ("connection", "close")],
    [*REQUEST, ("transfer-encoding", "chunked")],
    [*REQUEST, ("te", "gzip")],
    [*REQUEST, ("content-length", "-1")],
    [*REQUEST, ("content-length", "1"), ("content-length", "2")],
    [*REQUEST, ("content-length", "3")],
    [*REQUEST, ("content-length", "99")],
]


@pytest.mark.parametrize("fields", MALFORMED, ids=str)
def test_a_malformed_request_is_reset_and_the_next_one_served(fields: list[tuple[str, str]]) -> None:
    peer = Peer()
    peer.send(peer.request(1, b"body", fields))
    resets = [frame for frame in peer.read() if frame.kind == frames.RST_STREAM]
    assert [(reset.stream_id, reset.code) for reset in resets] == [(1, ErrorCode.PROTOCOL_ERROR)]
    assert peer.echo.bodies == []
    peer.send(peer.request(3, b"body", [*REQUEST, ("te", "trailers"), ("content-length", "4")]))
    assert peer.answer_to(3) == b"body"


def test_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    head = b"\x02" + bytes(5) + BLOCK + b"\0\0"
    peer.send(frame(frames.HEADERS, frames.PADDED | frames.PRIORITY_FLAG | frames.END_HEADERS, 1, head))
    peer.send(frame(frames.DATA, frames.PADDED, 1, b"\x03ab\0\0\0") + frame(frames.DATA, 0x9, 1, b"\x00c"))
    assert peer.answer_to(1) == b"abc"
    peer.send(peer.request(3)[:0] + frame(frames.HEADERS, HEAD_FIELDS, 3, BLOCK) + frame(0, 0x9, 3, b"\x02x"))
    assert peer.read()[-1].code is ErrorCode.PROTOCOL_ERROR


def test_a_header_block_may_come_in_pieces() -> None:
    peer = Peer()
    data = frame(frames.HEADERS, frames.END_STREAM, 1, BLOCK[:2])
    data += frame(frames.CONTINUATION, 0, 1, BLOCK[2:4]) + frame(frames.CONTINUATION, 4, 1, BLOCK[4:])
    peer.send(data)
    assert peer.answer_to(1) == b""


def test_unknown_frames_and_settings_are_ignored() -> None:
    peer = Peer()
    peer.send(frame(0x42, 0xFF, 7, b"?") + settings(0x99, 7) + peer.request(1, b"x"))
    assert peer.answer_to(1) == b"x"


def test_a_ping_is_answered_with_its_own_bytes() -> None:
    peer = Peer()
    peer.send(frame(frames.PING, 0, 0, b"12345678"))
    (answer,) = peer.read()
    assert (answer.kind, answer.flags, answer.payload) == (frames.PING, frames.ACK, b"12345678")


def test_the_first_frame_must_be_settings() -> None:
    peer = Peer(greets=False)
    peer.send(frames.PREFACE + frame(frames.PING, 0, 0, bytes(8)))
    assert peer.read()[-1].code is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"POST ", b"P", b"PRI * HTTP/1.1\r\n\r\n"])
def test_http1_is_told_in_its_own_words_and_closed(text: bytes) -> None:
    peer = Peer(greets=False)
    peer.send(text)
    if text == b"P":
        assert not peer.transport.is_closed
        peer.send(b"OST / HTTP/1.1\r\n")
    assert peer.transport.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    head, _, body = bytes(peer.transport.written).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert peer.transport.is_closed


def test_anything_else_instead_of_the_preface_is_closed_without_a_word() -> None:
    peer = Peer(greets=False)
    peer.send(b"\x16\x03\x01\x02\x00")
    assert not peer.transport.written
    assert peer.transport.is_closed


FLOODS = [
    ("PING", frame(frames.PING, 0, 0, bytes(8)) * 2100),
    ("SETTINGS", frame(frames.SETTINGS, 0, 0) * 2100),
    ("PRIORITY", frame(frames.PRIORITY, 0, 9, bytes(5)) * 2100),
    ("unknown", frame(99, 0, 0) * 2100),
    ("empty DATA", frame(frames.HEADERS, HEAD_FIELDS, 1, BLOCK) + frame(frames.DATA, 0, 1) * 2100),
    ("CONTINUATION", frame(frames.HEADERS, 0, 1, BLOCK) + frame(frames.CONTINUATION, 0, 1) * 20),
    ("long CONTINUATION", frame(frames.HEADERS, 0, 1, BLOCK) + frame(frames.CONTINUATION, 0, 1, bytes(16_384)) * 3),
    ("long HEADERS", frame(frames.HEADERS, HEAD_FIELDS, 1, b"\x0f\x10\x7f\x00" * 20_000)),
    ("headers from a small block", frame(frames.HEADERS, HEAD_FIELDS, 1, BLOCK + b"\x90" * 2000)),
    (
        "rapid reset",
        b"".join(
            frame(frames.HEADERS, HEAD_FIELDS, stream_id, BLOCK) + frames.rst_stream(stream_id, ErrorCode.CANCEL)
            for stream_id in range(1, 2301, 2)
        ),
    ),
]


@pytest.mark.parametrize("data", [row[1] for row in FLOODS], ids=[row[0] for row in FLOODS])
def test_a_flood_ends_the_connection(data: bytes) -> None:
    peer = Peer()
    peer.send(data)
    assert peer.read()[-1].code is ErrorCode.ENHANCE_YOUR_CALM
    assert peer.transport.is_closed


def test_a_peer_that_reads_no_answers_is_not_answered_for_ever() -> None:
    peer = Peer(ConnectionLimits(control_frames_burst=1 << 30))
    peer.connection.pause_writing()
    peer.send(frame(frames.PING, 0, 0, bytes(8)) * 10_100)
    assert peer.read()[-1].code is ErrorCode.ENHANCE_YOUR_CALM


def test_streams_beyond_the_limit_are_refused_and_the_others_served() -> None:
    peer = Peer(ConnectionLimits(max_concurrent_streams=2))
    for stream_id in (1, 3, 5):
        peer.send(frame(frames.HEADERS, HEAD_FIELDS, stream_id, BLOCK))
    (reset,) = peer.read()
    assert (reset.stream_id, reset.code) == (5, ErrorCode.REFUSED_STREAM)
    peer.send(frame(frames.DATA, 1, 5, b"late") + frame(frames.DATA, 1, 3, b"three"))
    assert peer.answer_to(3) == b"three"


class Faulty(Echo):
    """An application with a fault."""

    def on_request(self, stream: Stream, head: RequestHead, ended: bool) -> Receiver:
        raise RuntimeError("planted")


def test_a_fault_of_our_own_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(application=Faulty())
    peer.send(peer.request(1))
    assert peer.read()[-1].code is ErrorCode.INTERNAL_ERROR
    assert peer.transport.is_closed
    assert "planted" in caplog.text
