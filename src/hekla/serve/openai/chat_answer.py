"""`/v1/chat/completions`: how answers are written, whole and as events."""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from hekla.base.errors import HeklaError
from hekla.protocols.text_engine import TextEngine, ToolCall
from hekla.serve.openai.chat_request import ChatRequest
from hekla.serve.openai.draft import Draft, ScoredToken, scored_document
from hekla.serve.openai.reply import event, failure_event
from hekla.serve.text.wish import Begun

# Any: JSON documents.
Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"


class ChatForm:
    """`Form` of one request."""

    def __init__(self, asked: ChatRequest, engine: TextEngine, created_s: int) -> None:
        self._engine, self._answers, self._with_usage = engine, asked.wish.answers, asked.with_usage
        self._has_logprobs, self._may_call = asked.has_logprobs, bool(asked.tools)
        self._head: Json = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": created_s, "model": asked.model}
        self._prompt_tokens = 0
        # What nearly every event is: text of one answer. Its ends are written once.
        start = orjson.dumps({**self._head, "object": "chat.completion.chunk"})[:-1]
        self._start = b'data: %b,"choices":[{"index":' % start
        self._end = b'},"logprobs":null,"finish_reason":null}]%b}\n\n' % (b',"usage":null' if asked.with_usage else b"")

    def begin(self, begun: Begun) -> bytes:
        """Return an event for each answer that says who speaks."""
        (self._prompt_tokens,) = begun.prompt_tokens
        # A call has no content; clients add to what comes first.
        delta = {"role": "assistant", "content": None if self._may_call else ""}
        return b"".join(self._chunk(index, delta, None, None) for index in range(self._answers))

    def news(self, draft: Draft) -> bytes:
        """Return events: text and calls as far as they came, then the end."""
        text = draft.take_text()
        if draft.finish_reason is None and text and not draft.calls and not draft.scored:
            return b'%b%d,"delta":{"content":%b%b' % (self._start, draft.index, orjson.dumps(text), self._end)
        events: list[bytes] = []
        scored = draft.take_scored()
        if text or scored:
            events.append(self._chunk(draft.index, {"content": text}, scored, None))
        calls = draft.take_calls()
        if calls:
            delta: Json = {"tool_calls": [_call_piece(call) for call in calls]}
            events.append(self._chunk(draft.index, delta, None, None))
        if draft.finish_reason is not None:
            events.append(self._chunk(draft.index, {}, None, draft))
        return b"".join(events)

    def tail(self, drafts: Sequence[Draft]) -> bytes:
        """Return the usage, where it was asked for, and the end of the stream."""
        if not self._with_usage:
            return DONE
        document = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage(drafts)}
        return event(document) + DONE

    def failure(self, error: HeklaError) -> bytes:
        """Return the error as an event; no [DONE] follows it."""
        return failure_event(error)

    def whole(self, drafts: Sequence[Draft]) -> Json:
        """Return the document of all answers."""
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choice(draft) for draft in drafts],
            "usage": self._usage(drafts),
        }

    def _choice(self, draft: Draft) -> Json:
        text, calls = draft.take_text(), draft.take_calls()
        message: Json = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
        if calls:
            message["tool_calls"] = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in calls
            ]
        choice: Json = {
            "index": draft.index,
            "message": message,
            "logprobs": self._logprobs(draft.take_scored()),
            "finish_reason": draft.finish_reason,
        }
        return choice if draft.stop_reason is None else {**choice, "stop_reason": draft.stop_reason}

    def _chunk(self, index: int, delta: Json, scored: Sequence[ScoredToken] | None, ended: Draft | None) -> bytes:
        choice: Json = {
            "index": index,
            "delta": delta,
            "logprobs": None if scored is None else self._logprobs(scored),
            "finish_reason": None if ended is None else ended.finish_reason,
        }
        if ended is not None and ended.stop_reason is not None:
            choice["stop_reason"] = ended.stop_reason
        document = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        if self._with_usage:
            document["usage"] = None
        return event(document)

    def _logprobs(self, scored: Sequence[ScoredToken]) -> Json | None:
        if not self._has_logprobs:
            return None
        return {"content": [scored_document(self._engine, token) for token in scored], "refusal": None}

    def _usage(self, drafts: Sequence[Draft]) -> Json:
        return usage(self._prompt_tokens, drafts, self._answers)


def usage(prompt_tokens: int, drafts: Sequence[Draft], answers: int) -> Json:
    """Return the usage; a prompt counts once, however many answers it has."""
    written = sum(draft.tokens for draft in drafts)
    cached = sum(draft.cached_tokens for draft in drafts[::answers])
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": written,
        "total_tokens": prompt_tokens + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _call_piece(call: ToolCall) -> Json:
    piece: Json = {"index": call.index}
    if call.call_id:
        piece |= {"id": call.call_id, "type": "function"}
    function: Json = {"name": call.name} if call.name else {}
    piece["function"] = {**function, "arguments": call.arguments}
    return piece
