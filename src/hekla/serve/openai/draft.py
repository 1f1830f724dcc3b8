"""One answer as it grows: what came and was not sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hekla.protocols.text_engine import ReplyParser, TextEngine, TokenEvent, TokenLogprob, ToolCall

# How OpenAI calls the ends an engine knows; what its words do not tell is in `stop_reason`, as vLLM has it.
_REASONS = {"stop": "stop", "length": "length", "cancelled": "length", "deadline": "length"}
_STOP_REASONS = {"cancelled": "server_stopping", "deadline": "deadline"}
_CALL_BYTES = 64  # that a piece of a call holds besides its text


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token, how likely it was, and the likeliest instead of it."""

    token: int
    logprob: float
    top: tuple[TokenLogprob, ...]


class Draft:
    """Takes events; whoever sends takes what is pending."""

    __slots__ = (
        "_may_call_once",
        "_parser",
        "cached_tokens",
        "calls",
        "finish_reason",
        "has_called",
        "index",
        "pending_bytes",
        "scored",
        "stop_reason",
        "texts",
        "tokens",
    )

    def __init__(self, index: int, parser: ReplyParser | None, *, may_call_once: bool = False) -> None:
        self._parser = parser  # None: everything is text
        self._may_call_once = may_call_once
        self.index = index
        self.texts: list[str] = []
        self.calls: list[ToolCall] = []
        self.scored: list[ScoredToken] = []
        self.pending_bytes = 0
        self.tokens = self.cached_tokens = 0
        self.finish_reason: str | None = None
        self.stop_reason: str | None = None
        self.has_called = False

    def add(self, event: TokenEvent) -> bool:
        """Take what came; True if the answer ended with it. What comes after its end is dropped."""
        if self.finish_reason is not None:
            return False
        reason = event.finish_reason
        if event.token is not None:
            self.tokens += 1
            if event.cached_tokens:
                self.cached_tokens = event.cached_tokens
            if event.logprob is not None and not (reason == "stop" and not event.text):
                self.scored.append(ScoredToken(event.token, event.logprob, event.top_logprobs))
                self.pending_bytes += 64 * (1 + len(event.top_logprobs))
        if self._parser is None:
            if event.text:
                self.texts.append(event.text)
                self.pending_bytes += len(event.text)
        elif event.text or reason is not None:
            self._parse(event.text, reason is not None)
        if reason is not None and self.finish_reason is None:
            self.finish_reason = "tool_calls" if self.has_called and reason == "stop" else _REASONS.get(reason, "stop")
            self.stop_reason = _STOP_REASONS.get(reason)
        return self.is_over

    @property
    def is_over(self) -> bool:
        """True once it has ended: nothing more is taken."""
        return self.finish_reason is not None

    @property
    def has_news(self) -> bool:
        """True if something is pending."""
        return bool(self.texts or self.calls or self.scored)

    def take_text(self) -> str:
        """Return the text that came."""
        text = self.texts[0] if len(self.texts) == 1 else "".join(self.texts)
        self.texts.clear()
        self.pending_bytes = 0
        return text

    def take_calls(self) -> Sequence[ToolCall]:
        """Return the pieces of calls that came, those of one call joined."""
        joined: list[ToolCall] = []
        for call in self.calls:
            if joined and joined[-1].index == call.index:
                last = joined[-1]
                arguments = last.arguments + call.arguments
                joined[-1] = ToolCall(call.index, last.call_id or call.call_id, last.name or call.name, arguments)
            else:
                joined.append(call)
        self.calls.clear()
        return joined

    def take_scored(self) -> Sequence[ScoredToken]:
        """Return the tokens that came, where they were asked for."""
        scored, self.scored = self.scored, []
        return scored

    def _parse(self, text: str, is_end: bool) -> None:
        assert self._parser is not None
        for piece in self._parser.feed(text, is_end=is_end):
            if piece.text:
                self.texts.append(piece.text)
            if piece.tool_calls and self._may_call_once and piece.tool_calls[-1].index:
                self.calls += [call for call in piece.tool_calls if not call.index]
                self.finish_reason = "tool_calls"
                return
            if piece.tool_calls:
                self.has_called = True
                self.calls += piece.tool_calls
            self.pending_bytes += len(piece.text) + sum(_CALL_BYTES + len(c.arguments) for c in piece.tool_calls)


def scored_document(engine: TextEngine, scored: ScoredToken) -> dict[str, Any]:  # Any: JSON
    """Return a token as `logprobs.content` of a chat lists it."""
    return {
        **token_document(engine, scored.token, scored.logprob),
        "top_logprobs": [token_document(engine, top.token, top.logprob) for top in scored.top],
    }


def token_document(engine: TextEngine, token: int, logprob: float) -> dict[str, Any]:  # Any: JSON
    """Return {"token", "logprob", "bytes"}."""
    content = engine.token_bytes(token)
    return {"token": content.decode(errors="replace"), "logprob": max(logprob, -9999.0), "bytes": list(content)}
