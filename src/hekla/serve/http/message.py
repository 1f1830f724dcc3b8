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

    def abort(self, exchange: "Exchange", error: BaseException) -> None: ...


class Exchange:
    """One request and the way to answer it, exactly once. Views of `body` are valid until then; codings are undone.

    `headers` has lower-case names; of a header sent twice the last one stands. `path` is percent-decoded per segment
    by the router, here it is as sent.
    """

    __slots__ = ("_sink", "answered", "body", "headers", "method", "on_disconnect", "path", "query", "received_s")

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
        self.answered = False

    def respond(self, response: Response) -> None:
        """Send the whole answer. Nothing happens if the client went away."""
        if not self.answered:
            self.answered = True
            self.on_disconnect = None
            self._sink.answer(self, response)

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


# A route: answers the exchange now or later. `parameters` are the values of the path's {placeholders}.
Route = Callable[[Exchange, tuple[str, ...]], None]
