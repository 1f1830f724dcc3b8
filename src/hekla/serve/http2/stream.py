"""One request and its answer, and what the application makes of it."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hekla.serve.http2.frames import ErrorCode
from hekla.serve.http2.header_decoder import Fields

if TYPE_CHECKING:
    from hekla.serve.http2.sender import Sender

Buffer = bytes | memoryview


class Receiver(Protocol):
    """What the application does with one request's body. Called on the loop; must not raise, must not wait."""

    def on_data(self, chunk: bytes, start: int, end: int, ended: bool) -> None:
        """Take chunk[start:end] of the body; `ended` with the last part. Not called after the answer was given."""

    def on_reset(self, code: ErrorCode) -> None:
        """The peer gave the request up, or the connection is gone. Nothing is called after this."""


class _Nobody:
    """Takes what still comes for a request that is answered already."""

    __slots__ = ()

    def on_data(self, chunk: bytes, start: int, end: int, ended: bool) -> None:
        """Drop it."""

    def on_reset(self, code: ErrorCode) -> None:
        """Nothing was under way."""


NOBODY = _Nobody()


class Application(Protocol):
    """Whoever answers the requests of a connection."""

    # What `read_head` returns is the application's own; it comes back as `head` untouched.
    def read_head(self, fields: Fields) -> Any:
        """Return what the fields mean, or `Malformed`. A pure function: the result is kept for the same fields."""

    def on_request(self, stream: "Stream", head: Any, ended: bool) -> Receiver:  # Any: see read_head
        """Take a request whose head has come; `ended` if it has no body. May answer at once."""


class Stream:
    """An open stream. The connection receives for it, the sender sends for it; both forget it once it is answered.

    The answer is given by `respond`, or by `send_headers`, any number of `send_data` and `end`, or by `reset`.
    After the answer, or after `Receiver.on_reset`, all of these do nothing.
    """

    __slots__ = (
        "body_left",
        "credit",
        "id",
        "is_open",
        "pending",
        "pending_bytes",
        "receiver",
        "remote_ended",
        "sender",
        "trailers",
        "window",
        "withheld",
    )

    def __init__(self, stream_id: int, sender: "Sender", window: int, credit: int, remote_ended: bool) -> None:
        self.id = stream_id
        self.receiver: Receiver = NOBODY
        self.sender = sender
        self.window = window  # bytes we may send; below 0 after the peer shrank its window
        self.credit = credit  # bytes the peer may send
        self.remote_ended = remote_ended
        self.is_open = True
        self.body_left = -1  # bytes of body still to come where content-length said so
        self.pending: deque[Buffer] | None = None  # what no window has let through yet
        self.pending_bytes = 0
        self.trailers: bytes | None = None  # the block that follows `pending`
        self.withheld = False  # a WINDOW_UPDATE waits until `pending` is sent

    def respond(self, headers: bytes, body: bytes, trailers: bytes) -> None:
        """Send a whole answer: header block, body, trailer block."""
        if self.is_open:
            self.sender.respond(self, headers, body, trailers)

    def send_headers(self, headers: bytes) -> None:
        """Send the header block of an answer that goes on."""
        if self.is_open:
            self.sender.send_headers(self, headers)

    def send_data(self, buffers: Sequence[Buffer]) -> None:
        """Send more of the body, as soon as the peer's windows allow. The buffers are not copied."""
        if self.is_open and self.trailers is None:
            self.sender.send_data(self, buffers)

    def end(self, trailers: bytes) -> None:
        """Send the trailer block behind everything sent before, and end the stream."""
        if self.is_open and self.trailers is None:
            self.sender.end(self, trailers)

    def reset(self, code: ErrorCode) -> None:
        """End the stream at once without an answer."""
        if self.is_open:
            self.sender.reset(self, code)
