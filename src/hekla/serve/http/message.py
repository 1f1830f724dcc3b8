"""What the HTTP door hands to routes, and what they hand back."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hekla.base.errors import CancelledError

Buffer = bytes | bytearray | memoryview

JSON = b"application/json"


@dataclass(slots=True)  # not frozen, which would double the cost of making one; nobody changes one
class Response:
    """An answer: status, content type, further headers, and the body as one or several buffers."""

    status: int
    body: Sequence[Buffer]
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class Sink(Protocol):
    """Where an exchange's answer goes: the connection it came on."""

    def answer(self, exchange: "Exchange", response: Response) -> None: ...

    def begin(self, exchange: "Exchange", response: Response) -> None: ...

    def send(self, exchange: "Exchange", data: bytes) -> None: ...

    def finish_answer(self, exchange: "Exchange") -> None: ...

    def cut(self, exchange: "Exchange") -> None: ...

    @property
    def is_choked(self) -> bool: ...

    def abort(self, exchange: "Exchange", error: BaseException) -> None: ...


class Exchange:
    """One request and the way to answer it, exactly once. Views of `body` are valid until then; codings are undone.

    `headers` has lower-case names; of a header sent twice the last one stands. `path` is percent-decoded per segment
    by the router, here it is as sent.
    """

    __slots__ = (
        "_sink",
        "answered",
        "body",
        "headers",
        "method",
        "on_disconnect",
        "on_room",
        "path",
        "query",
        "received_s",
    )

    def __init__(
        self,
        sink: Sink,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: memoryview,
        received_s: float,
    ) -> None:
        self._sink = sink
        self.method, self.path, self.query, self.headers, self.body = method, path, query, headers, body
        self.received_s = received_s  # time.monotonic() when the last byte of the request came
        self.on_disconnect: Callable[[], None] | None = None  # called if the client goes away before the answer
        self.on_room: Callable[[], None] | None = None  # called when a stream that was choked no longer is
        self.answered = False

    def respond(self, response: Response) -> None:
        """Send the whole answer. Nothing happens if the client went away."""
        if not self.answered:
            self.answered = True
            self.on_disconnect = None
            self._sink.answer(self, response)

    def stream(self, response: Response) -> "AnswerStream":
        """Begin an answer whose body comes piece by piece; `response.body` is its first pieces, often ().

        `on_disconnect` is still called if the client goes away before the end.
        """
        assert not self.answered, "an exchange is answered once"
        self.answered = True
        self._sink.begin(self, response)
        return AnswerStream(self, self._sink)

    def run(self, work: Coroutine[Any, Any, Response]) -> asyncio.Task[Response]:
        """Answer with what a coroutine returns. It goes on if the client goes away; the caller keeps the task."""
        task = asyncio.get_running_loop().create_task(work)

        def ended(task: asyncio.Task[Response]) -> None:
            failure = CancelledError("the server stopped it") if task.cancelled() else task.exception()
            if failure is None:
                self.respond(task.result())
            else:
                self._sink.abort(self, failure)

        task.add_done_callback(ended)
        return task


class AnswerStream:
    """The body of an answer while it is sent. Nothing happens if the client went away.

    What is written while `is_choked` waits in memory: a writer that can make less of it looks first, and goes on when
    `Exchange.on_room` is called. Choked means that 64 KiB wait for the client to read.
    """

    __slots__ = ("_exchange", "_sink", "has_ended")

    def __init__(self, exchange: Exchange, sink: Sink) -> None:
        self._exchange, self._sink = exchange, sink
        self.has_ended = False

    @property
    def is_choked(self) -> bool:
        """True while the client does not read."""
        return self._sink.is_choked

    def write(self, data: bytes) -> None:
        """Send a piece that is not empty."""
        if not self.has_ended:
            self._sink.send(self._exchange, data)

    def end(self) -> None:
        """End the body: the answer is whole."""
        if not self.has_ended:
            self._close()
            self._sink.finish_answer(self._exchange)

    def cut(self) -> None:
        """Break the connection off: the client sees that the answer is not whole."""
        if not self.has_ended:
            self._close()
            self._sink.cut(self._exchange)

    def _close(self) -> None:
        self.has_ended = True
        self._exchange.on_disconnect = self._exchange.on_room = None


# A route: answers the exchange now or later. `parameters` are the values of the path's {placeholders}.
Route = Callable[[Exchange, tuple[str, ...]], None]
