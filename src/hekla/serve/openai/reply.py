"""From what a model tells to an HTTP answer: whole, or as server-sent events while it is written.

A reader that is slower than the model holds nothing up: while the connection is choked (64 KiB unsent), what comes is
joined, not framed, and leaves as one event when there is room. An answer's text is small (a few bytes a token, at most
the model's context), so this stays bounded; with logprobs it may not: the request is cancelled at `_MOST_PENDING`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from hekla.base.errors import DeadlineError, EngineError, HeklaError
from hekla.protocols.text_engine import TokenEvent
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import AnswerStream, Exchange, Response
from hekla.serve.http.router import Router
from hekla.serve.openai.draft import Draft
from hekla.serve.openai.errors import error_document
from hekla.serve.text.generation import TextTicket
from hekla.serve.text.wish import Begun

EVENT_STREAM = b"text/event-stream; charset=utf-8"
_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_MOST_PENDING = 1 << 20


class Form(Protocol):
    """How one API writes answers. All of it is told in order: `begin`, then `news` and `whole`."""

    def begin(self, begun: Begun) -> bytes:
        """Note the prompts' lengths; return the first events."""

    def news(self, draft: Draft) -> bytes:
        """Return events of what is pending in a draft, and its end where it has ended; "" for nothing."""

    def tail(self, drafts: Sequence[Draft]) -> bytes:
        """Return the last events, when every draft has ended."""

    def failure(self, error: HeklaError) -> bytes:
        """Return the last events of an answer that failed."""

    def whole(self, drafts: Sequence[Draft]) -> dict[str, Any]:
        """Return the document of an answer that was not streamed. Any: JSON."""


class TextReply:
    """`Receiver` of one exchange."""

    def __init__(
        self, exchange: Exchange, router: Router, form: Form, drafts: Sequence[Draft], is_stream: bool
    ) -> None:
        self._exchange, self._router, self._form, self._drafts = exchange, router, form, drafts
        self._is_stream = is_stream
        self._stream: AnswerStream | None = None
        self._ended: set[int] = set()  # drafts whose end was sent
        self._left = len(drafts)  # drafts that have not ended
        self._is_early = False  # the last answer to end did so before the model ended it
        self._ticket: TextTicket | None = None

    def follow(self, ticket: TextTicket) -> None:
        """Cancel the request if its client goes away."""
        self._ticket = ticket
        self._exchange.on_disconnect = ticket.cancel

    def on_begin(self, begun: Begun) -> None:
        """Begin the answer: from here on errors are events in it."""
        first = self._form.begin(begun)
        if self._is_stream:
            self._stream = self._exchange.stream(Response(200, (first,) if first else (), EVENT_STREAM, _HEADERS))
            self._exchange.on_room = self._write

    def on_event(self, index: int, event: TokenEvent) -> None:
        """Take what came."""
        draft = self._drafts[index]
        if draft.add(event):
            self._left -= 1
            self._is_early = event.finish_reason is None
            if event.finish_reason == "error":
                raise event.error or EngineError("the engine could not go on with it")
            if event.finish_reason == "deadline" and not draft.tokens:
                raise DeadlineError("no token within the time allowed", cure="allow more time, or ask again later")

    def on_flush(self) -> None:
        """Send it."""
        self._send()
        if not self._left and self._is_early and self._ticket is not None:
            self._ticket.cancel()

    def _send(self) -> None:
        if self._stream is not None:
            self._write()
        elif not self._left:
            content = orjson.dumps(self._form.whole(self._drafts))
            accepted = self._exchange.headers.get(b"accept-encoding", b"")
            self._exchange.respond(encode_body(Response(200, (content,)), accepted))

    def on_error(self, error: HeklaError) -> None:
        """Tell it: as a status where nothing was sent yet, as an event otherwise."""
        stream = self._stream
        if stream is None:
            self._router.abort(self._exchange, error)
            return
        if not stream.has_ended:
            stream.write(self._form.failure(error))
            stream.end()

    def _write(self) -> None:
        stream = self._stream
        assert stream is not None
        if stream.has_ended:
            return
        if stream.is_choked:
            if sum(draft.pending_bytes for draft in self._drafts) > _MOST_PENDING and self._ticket is not None:
                self._ticket.cancel()
                stream.cut()
            return
        events: list[bytes] = []
        for draft in self._drafts:
            if draft.has_news or (draft.is_over and draft.index not in self._ended):
                if draft.is_over:
                    self._ended.add(draft.index)
                events.append(self._form.news(draft))
        is_whole = len(self._ended) == len(self._drafts)
        if is_whole:
            events.append(self._form.tail(self._drafts))
        data = events[0] if len(events) == 1 else b"".join(events)
        if data:
            stream.write(data)
        if is_whole:
            stream.end()


def event(document: object) -> bytes:
    """Return a server-sent event of a JSON document."""
    return b"data: %b\n\n" % orjson.dumps(document)


def failure_event(error: HeklaError) -> bytes:
    """Return an error as OpenAI's clients find it in a stream."""
    return event(error_document(error))
