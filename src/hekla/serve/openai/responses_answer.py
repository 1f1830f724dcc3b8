"""`/v1/responses`: how answers are written, whole and as events.

response.created, response.in_progress
then per item   response.output_item.added, ..., response.output_item.done
  of a message  response.content_part.added, output_text.delta ..., output_text.done, content_part.done
  of a call     response.function_call_arguments.delta ..., .done
response.completed, or .incomplete, or .failed
"""

import uuid
from collections.abc import Callable, Sequence

import orjson

from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.text_engine import TextEngine, ToolCall
from hekla.serve.openai.draft import Draft, ScoredToken, scored_document
from hekla.serve.openai.fields import Json
from hekla.serve.openai.responses_request import ResponsesRequest, assistant_message
from hekla.serve.status import status_of
from hekla.serve.text.wish import Begun

# How a failed answer's error is called, by its type on the other routes; OpenAI has no more words than these.
_CODES = {"invalid_request_error": "invalid_prompt", "rate_limit_error": "rate_limit_exceeded"}


class ResponsesForm:
    """`Form` of one request, which has one answer."""

    def __init__(
        self,
        request: ResponsesRequest,
        engine: TextEngine,
        created_s: int,
        keep: Callable[[Json, Sequence[Json]], None],
    ) -> None:
        self._request, self._engine, self._keep = request, engine, keep
        self._has_logprobs = request.wish.sampling.logprobs is not None
        self._head: Json = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": created_s,
            "model": request.model,
            "background": False,
            "store": request.is_stored,
            **request.asked,
        }
        self._prompt_tokens = 0
        self._number = -1  # of the last event
        self._output: list[Json] = []  # items that are whole
        self._item: Json | None = None  # the one being written
        self._texts: list[str] = []
        self._logprobs: list[Json] = []  # of the message

    def begin(self, begun: Begun) -> bytes:
        """Return the events that say that the answer is being written."""
        (self._prompt_tokens,) = begun.prompt_tokens
        document = self._document("in_progress")
        return self._event("response.created", response=document) + self._event(
            "response.in_progress", response=document
        )

    def news(self, draft: Draft) -> bytes:
        """Return events of what came."""
        events = []
        text, scored = draft.take_text(), draft.take_scored()
        if text or scored:
            events.append(self._text(text, scored))
        events += [self._call(call) for call in draft.take_calls()]
        if draft.finish_reason is not None:
            if self._item is None and not self._output:
                events.append(self._text("", ()))
            events.append(self._close("completed" if draft.finish_reason != "length" else "incomplete"))
        return b"".join(events)

    def tail(self, drafts: Sequence[Draft]) -> bytes:
        """Return the last event: the whole answer."""
        document = self._ended(drafts[0])
        return self._event(f"response.{document['status']}", response=document)

    def failure(self, error: HeklaError) -> bytes:
        """Return the answer as it failed."""
        document = self._document("failed")
        document["error"] = {"code": _CODES.get(status_of(error).openai, "server_error"), "message": str(error)}
        return self._event("response.failed", response=document)

    def whole(self, drafts: Sequence[Draft]) -> Json:
        """Return the document of the answer."""
        self.news(drafts[0])
        return self._ended(drafts[0])

    def _ended(self, draft: Draft) -> Json:
        document = self._document("incomplete" if draft.finish_reason == "length" else "completed")
        if draft.finish_reason == "length":
            document["incomplete_details"] = {"reason": draft.stop_reason or "max_output_tokens"}
        if draft.stop_reason == "server_stopping":
            document |= {"status": "failed", "error": {"code": "server_error", "message": "the server stopped"}}
            document["incomplete_details"] = None
        document["usage"] = {
            "input_tokens": self._prompt_tokens,
            "input_tokens_details": {"cached_tokens": draft.cached_tokens},
            "output_tokens": draft.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._prompt_tokens + draft.tokens,
        }
        if self._request.is_stored:
            texts = [p["text"] for item in self._output if item["type"] == "message" for p in item["content"]]
            calls = [item for item in self._output if item["type"] == "function_call"]
            self._keep(document, [*self._request.messages, assistant_message("".join(texts), calls)])
        return document

    def _document(self, status: str) -> Json:
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": list(self._output),
            "usage": None,
        }

    # The items

    def _text(self, text: str, scored: Sequence[ScoredToken]) -> bytes:
        events = b""
        if self._item is None or self._item["type"] != "message":
            events = self._close("completed")
            self._item = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant"}
            part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            events += self._event(
                "response.output_item.added",
                output_index=len(self._output),
                item={**self._item, "status": "in_progress", "content": []},
            ) + self._item_event("response.content_part.added", content_index=0, part=part)
        self._texts.append(text)
        logprobs = [scored_document(self._engine, token) for token in scored] if self._has_logprobs else []
        self._logprobs += logprobs
        if not text and not logprobs:
            return events
        return events + self._item_event("response.output_text.delta", content_index=0, delta=text, logprobs=logprobs)

    def _call(self, call: ToolCall) -> bytes:
        events = b""
        if call.name or self._item is None or self._item["type"] != "function_call":
            events = self._close("completed")
            call_id = call.call_id or f"call_{uuid.uuid4().hex}"
            self._item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call"}
            self._item |= {"call_id": call_id, "name": call.name}
            events += self._event(
                "response.output_item.added",
                output_index=len(self._output),
                item={**self._item, "status": "in_progress", "arguments": ""},
            )
        if call.arguments:
            self._texts.append(call.arguments)
            events += self._item_event("response.function_call_arguments.delta", delta=call.arguments)
        return events

    def _close(self, status: str) -> bytes:
        """End the item that is being written."""
        item, text = self._item, "".join(self._texts)
        if item is None:
            return b""
        if item["type"] == "message":
            part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs}
            events = self._item_event(
                "response.output_text.done", content_index=0, text=text, logprobs=self._logprobs
            ) + self._item_event("response.content_part.done", content_index=0, part=part)
            whole: Json = {**item, "status": status, "content": [part]}
        else:
            events = self._item_event("response.function_call_arguments.done", name=item["name"], arguments=text)
            whole = {**item, "status": status, "arguments": text}
        events += self._event("response.output_item.done", output_index=len(self._output), item=whole)
        self._output.append(whole)
        self._item, self._texts, self._logprobs = None, [], []
        return events

    def _item_event(self, kind: str, **more: object) -> bytes:
        if self._item is None:
            raise EngineError("an event of no item")
        return self._event(kind, item_id=self._item["id"], output_index=len(self._output), **more)

    def _event(self, kind: str, **more: object) -> bytes:
        self._number += 1
        document = {"type": kind, "sequence_number": self._number, **more}
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(document))
