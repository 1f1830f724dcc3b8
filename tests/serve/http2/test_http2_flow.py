"""Flow control, splitting, settings, draining and other life of a connection."""

import contextlib
import random
import struct

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.http2.http2_peer import HEAD, REQUEST, TRAILERS, Peer

from hekla.base.errors import ConfigError
from hekla.serve.http2 import frames
from hekla.serve.http2.frames import ErrorCode, frame
from hekla.serve.http2.limits import ConnectionLimits


def settings(name: int, value: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, struct.pack(">HI", name, value))


def data_of(peer: Peer, stream_id: int) -> bytes:
    return b"".join(f.payload for f in peer.read() if f.kind == frames.DATA and f.stream_id == stream_id)


def test_an_answer_waits_for_the_streams_window() -> None:
    peer = Peer()
    peer.send(settings(frames.INITIAL_WINDOW_SIZE, 10) + peer.request(1, bytes(range(35))))
    assert data_of(peer, 1) == bytes(range(10))
    peer.send(frames.window_update(1, 20))
    assert data_of(peer, 1) == bytes(range(10, 30))
    peer.send(settings(frames.INITIAL_WINDOW_SIZE, 12))
    assert data_of(peer, 1) == bytes(range(30, 32))
    peer.send(settings(frames.INITIAL_WINDOW_SIZE, 0))
    peer.send(frames.window_update(1, 12))
    assert data_of(peer, 1) == b""  # the window was at -12
    peer.send(frames.window_update(1, 100))
    last = peer.read()
    assert last[-2].payload == bytes(range(32, 35))
    assert last[-1].flags & frames.END_STREAM
    assert not peer.connection.streams


def test_answers_share_the_connections_window_in_turn() -> None:
    peer = Peer()
    for stream_id in (1, 3):
        peer.send(peer.request(stream_id, bytes(60_000)))
    sent = [f for f in peer.read() if f.kind == frames.DATA]
    assert sum(len(f.payload) for f in sent) == 65_535
    assert all(len(f.payload) <= 16_384 for f in sent)
    peer.send(frames.window_update(0, 100_000))
    rest = peer.read()
    assert sum(len(f.payload) for f in sent + rest if f.kind == frames.DATA) == 120_000
    assert {f.stream_id for f in rest if f.flags & frames.END_STREAM and f.kind == frames.HEADERS} == {3}


def test_short_answers_stay_within_the_connections_window_too() -> None:
    peer = Peer()
    peer.send(b"".join(peer.request(stream_id, bytes(16_000)) for stream_id in (1, 3, 5, 7, 9)))
    assert sum(len(f.payload) for f in peer.read() if f.kind == frames.DATA) == 65_535
    peer.send(frames.window_update(0, 14_465))
    assert sum(len(f.payload) for f in peer.read() if f.kind == frames.DATA) == 14_465
    assert not peer.connection.streams


def test_a_held_answer_does_not_hold_the_others() -> None:
    peer = Peer()
    peer.send(settings(frames.INITIAL_WINDOW_SIZE, 5))
    peer.send(peer.request(1, b"longer than five") + peer.request(3, b"short"))
    frames_of = peer.read()
    assert [f.payload for f in frames_of if f.kind == frames.DATA and f.stream_id == 3] == [b"short"]


def test_what_is_sent_while_the_transport_is_full_waits() -> None:
    peer = Peer()
    peer.connection.pause_writing()
    peer.send(peer.request(1, b"body"))
    assert data_of(peer, 1) == b""
    peer.connection.resume_writing()
    assert data_of(peer, 1) == b"body"


def test_a_waiting_answer_is_dropped_with_its_stream() -> None:
    peer = Peer()
    peer.send(settings(frames.INITIAL_WINDOW_SIZE, 1) + peer.request(1, b"body"))
    peer.send(frames.rst_stream(1, ErrorCode.CANCEL))
    assert peer.echo.resets == [ErrorCode.CANCEL]
    peer.read()
    peer.send(frames.window_update(0, 1000))
    assert peer.read() == []


def test_windows_are_given_back_late_and_whole() -> None:
    limits = ConnectionLimits(stream_window_bytes=1000, connection_window_bytes=65_535)
    peer = Peer(limits)
    peer.send(peer.request(1, b"", REQUEST)[:-9])
    peer.send(frame(frames.DATA, 0, 1, bytes(400)))
    assert peer.read() == []
    peer.send(frame(frames.DATA, 0, 1, bytes(400)))
    (update,) = peer.read()
    assert (update.kind, update.stream_id, int.from_bytes(update.payload)) == (frames.WINDOW_UPDATE, 1, 800)
    for _ in range(36):
        peer.send(frame(frames.DATA, 0, 1, bytes(900)))
    updates = [(f.stream_id, int.from_bytes(f.payload)) for f in peer.read()]
    assert updates == [(1, 900)] * 35 + [(0, 33_200), (1, 900)]


def test_limits_that_http2_cannot_say_are_refused() -> None:
    for wrong in ({"connection_window_bytes": 65_534}, {"stream_window_bytes": 1 << 31}, {"max_frame_bytes": 100}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            ConnectionLimits(**wrong)


def test_more_data_than_a_window_allows_is_a_fault() -> None:
    peer = Peer(ConnectionLimits(stream_window_bytes=1000, connection_window_bytes=70_000))
    peer.send(peer.request(1, b"", REQUEST)[:-9] + frame(frames.DATA, 0, 1, bytes(1001)))
    assert peer.read()[-1].code is ErrorCode.FLOW_CONTROL_ERROR
    assert not peer.transport.is_closed
    peer.send(frame(frames.DATA, 0, 1, bytes(70_000)))
    assert peer.read()[-1].code is ErrorCode.FLOW_CONTROL_ERROR
    assert peer.transport.is_closed


def test_a_peer_that_shrinks_its_header_table_is_told_that_we_use_none() -> None:
    peer = Peer()
    peer.send(settings(frames.HEADER_TABLE_SIZE, 0) + peer.request(1, b"x"))
    peer.decoder.max_allowed_table_size = 0
    assert peer.answer_to(1) == b"x"
    peer.send(peer.request(3, b"y"))
    first = next(f for f in peer.read() if f.stream_id == 3)
    assert first.payload == HEAD


def test_answers_of_one_turn_leave_in_one_write() -> None:
    peer = Peer()
    before = peer.transport.writes
    peer.send(peer.request(1, b"a") + peer.request(3, b"b") + frame(frames.PING, 0, 0, bytes(8)))
    assert peer.transport.writes == before
    peer.loop.run()
    assert peer.transport.writes == before + 1


def test_a_request_answered_early_is_told_to_stop_and_its_rest_is_dropped() -> None:
    peer = Peer()
    peer.send(peer.request(1, b"", REQUEST)[:-9])
    peer.echo.open[0].stream.respond(HEAD, b"no need", TRAILERS)
    end = peer.read()[-1]
    assert (end.kind, end.code) == (frames.RST_STREAM, ErrorCode.NO_ERROR)
    peer.send(frame(frames.DATA, 0, 1, b"more") + frame(frames.DATA, 1, 1, b"rest"))
    assert peer.read() == []
    assert peer.echo.resets == []


def test_a_lost_connection_resets_every_open_stream_once() -> None:
    peer = Peer()
    peer.echo.holds = True
    peer.send(peer.request(1, b"x") + peer.request(3, b"x"))
    peer.connection.connection_lost(None)
    assert peer.echo.resets == [ErrorCode.CANCEL, ErrorCode.CANCEL]
    assert peer.closed == [peer.connection]
    peer.echo.open[0].stream.respond(HEAD, b"x", TRAILERS)
    peer.loop.run()


def test_draining_serves_what_was_accepted_and_then_closes() -> None:
    peer = Peer()
    peer.echo.holds = True
    peer.send(peer.request(1, b"x"))
    peer.connection.drain()
    first, ping = peer.read()
    assert (first.kind, first.code, first.payload[:4]) == (frames.GOAWAY, ErrorCode.NO_ERROR, b"\x7f\xff\xff\xff")
    peer.send(peer.request(3, b"on its way"))
    peer.send(frame(frames.PING, frames.ACK, 0, ping.payload))
    (second,) = peer.read()
    assert (second.kind, int.from_bytes(second.payload[:4])) == (frames.GOAWAY, 3)
    peer.send(peer.request(5, b"too late"))
    assert peer.echo.bodies == [b"x", b"on its way"]
    peer.echo.open[0].stream.respond(HEAD, b"1", TRAILERS)
    assert peer.answer_to(1) == b"1"
    closed = [peer.transport.is_closed]
    peer.echo.open[1].stream.respond(HEAD, b"3", TRAILERS)
    closed.append(peer.transport.is_closed)
    assert closed == [False, True]
    assert peer.answer_to(3) == b"3"


def test_an_idle_peer_is_asked_whether_it_lives_and_given_up_if_it_does_not_say() -> None:
    peer = Peer()
    peer.connection.on_timeout()  # something was heard since the connection began
    assert peer.read() == []
    peer.connection.on_timeout()
    (ping,) = peer.read()
    peer.send(frame(frames.PING, frames.ACK, 0, ping.payload))
    peer.connection.on_timeout()
    assert not peer.transport.is_closed
    peer.connection.on_timeout()
    peer.connection.on_timeout()
    assert peer.transport.is_closed


def test_a_peer_that_says_nothing_is_given_up() -> None:
    peer = Peer(greets=False)
    peer.connection.on_timeout()
    assert peer.transport.is_closed


def conversation(peer: Peer) -> bytes:
    """A valid conversation with a bit of everything."""
    out = frames.PREFACE + settings(frames.INITIAL_WINDOW_SIZE, 100_000)
    for number in range(3):
        out += peer.request(2 * number + 1, bytes([number]) * (number * 40))
    out += frame(frames.PING, 0, 0, b"abcdefgh") + frames.window_update(0, 1000)
    block = peer.encoder.encode([*REQUEST, ("grpc-timeout", "9S")])
    out += frame(frames.HEADERS, 0, 7, block[:3]) + frame(frames.CONTINUATION, frames.END_HEADERS, 7, block[3:])
    out += frame(frames.DATA, frames.PADDED, 7, b"\x02hello\0\0") + frame(frames.DATA, 0, 7, bytes(300))
    out += frame(frames.DATA, frames.END_STREAM, 7, b"")
    return out + peer.request(9, None, [*REQUEST, ("grpc-timeout", "9S")]) + frame(frames.RST_STREAM, 0, 9, bytes(4))


@given(st.data())
def test_how_the_bytes_are_split_changes_nothing(data: st.DataObject) -> None:
    whole = Peer(greets=False)
    said = conversation(whole)
    whole.send(said)
    split = Peer(greets=False)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=40)))
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        split.send(said[start:end])
    assert split.echo.bodies == whole.echo.bodies
    assert [b"", b"\1" * 40, b"\2" * 80, b"hello" + bytes(300), b""] == whole.echo.bodies
    assert split.read() == whole.read()
    assert split.echo.resets == whole.echo.resets


@given(st.data())
def test_damaged_conversations_never_raise_or_loop(data: st.DataObject) -> None:
    peer = Peer(greets=False)
    said = bytearray(conversation(peer))
    for _ in range(data.draw(st.integers(1, 6))):
        said[data.draw(st.integers(24, len(said) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(said)))
    peer.send(bytes(said[:cut]))
    peer.send(bytes(said[cut:]))
    peer.loop.run()
    peer.connection.connection_lost(None)
    assert not peer.connection.streams


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=20)), max_size=40)
)
def test_random_frames_never_raise(parts: list[tuple[int, int, int, bytes]]) -> None:
    peer = Peer()
    for kind, flags, stream_id, payload in parts:
        peer.send(frame(kind, flags, stream_id, payload))
    peer.loop.run()


class H2Client:
    """The h2 library on the other side."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.peer = Peer(limits, greets=False)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()

    def exchange(self) -> list[h2.events.Event]:
        """Swap bytes until both are silent."""
        events: list[h2.events.Event] = []
        while data := self.h2.data_to_send():
            self.peer.send(data)
            self.peer.loop.run()
            answer = bytes(self.peer.transport.written)
            self.peer.transport.written.clear()
            if answer:
                events += self.h2.receive_data(answer)
        return events

    def grant(self, event: h2.events.Event) -> None:
        """Let the server send as much again as came, and a bit, unless the stream has ended."""
        if isinstance(event, h2.events.DataReceived) and event.stream_ended is None:
            assert event.flow_controlled_length is not None
            with contextlib.suppress(h2.exceptions.StreamClosedError):
                self.h2.increment_flow_control_window(max(event.flow_controlled_length, 500), event.stream_id)


@pytest.mark.parametrize("window", [1, 7, 65_535])
def test_the_h2_library_gets_its_bodies_back_through_any_window(window: int) -> None:
    client = H2Client(ConnectionLimits(stream_window_bytes=4096, connection_window_bytes=70_000))
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.exchange()
    body = random.Random(5).randbytes(3000)
    received: dict[int, bytes] = {}
    for stream_id in (1, 3, 5):
        client.h2.send_headers(stream_id, REQUEST)
        client.h2.send_data(stream_id, body, end_stream=True)
    events = client.exchange()
    ended = 0
    while events:
        more: list[h2.events.Event] = []
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                assert event.data is not None
                assert event.stream_id is not None
                received[event.stream_id] = received.get(event.stream_id, b"") + event.data
            elif isinstance(event, h2.events.StreamEnded):
                ended += 1
            client.grant(event)
        more += client.exchange()
        events = more
    assert received == {1: body, 3: body, 5: body}
    assert ended == 3
