"""A conversation with a model of a running server: what was said, and the next answer as it comes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from hekla.base.errors import NotFoundError, nearest_name
from hekla.cli.client import Json, ServerClient


@dataclass(slots=True)
class Answered:
    """One answer, and what it took."""

    model: str
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    first_s: float = 0.0  # from the question to the first piece
    writing_s: float = 0.0  # from there to the last

    @property
    def tokens_per_s(self) -> float:
        """How fast it was written; 0 where it is too short to tell."""
        return (self.tokens - 1) / self.writing_s if self.tokens > 1 and self.writing_s > 0 else 0.0

    def document(self) -> Json:
        """Return it for programs."""
        return {
            "model": self.model,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "tokens": self.tokens,
            "first_token_ms": round(self.first_s * 1e3, 3),
            "tokens_per_s": round(self.tokens_per_s, 2),
        }


@dataclass(slots=True)
class Session:
    """The conversation. `options` are further keys of each request."""

    client: ServerClient
    model: str
    system: str = ""
    options: Json = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)
    last: Answered | None = None

    def ask(self, text: str) -> Iterator[str]:
        """Yield the answer piece by piece; `last` tells of it afterwards.

        Who stops early (Ctrl-C) keeps what came; a question that failed was not asked.
        Errors: as `ServerClient.stream`.
        """
        asked = {"role": "user", "content": text}
        head = [{"role": "system", "content": self.system}] if self.system else []
        answered = self.last = Answered(self.model)
        body = {
            "model": self.model,
            "messages": [*head, *self.messages, asked],
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.options,
        }
        started = time.perf_counter()
        try:
            for document in self.client.stream("/v1/chat/completions", body):
                piece = self._note(document, answered, started)
                if piece:
                    yield piece
        finally:
            if answered.text:
                self.messages += [asked, {"role": "assistant", "content": answered.text}]

    def reset(self) -> None:
        """Forget what was said; the instructions stay."""
        self.messages.clear()

    def _note(self, document: Json, answered: Answered, started: float) -> str:
        piece = ""
        for choice in document.get("choices") or ():
            piece += choice["delta"].get("content") or ""
            answered.finish_reason = choice.get("stop_reason") or choice.get("finish_reason") or answered.finish_reason
        now_s = time.perf_counter() - started
        if piece:
            answered.first_s = answered.first_s or now_s
            answered.writing_s = now_s - answered.first_s
            answered.text += piece
        usage = document.get("usage")
        if usage:
            answered.prompt_tokens, answered.tokens = usage["prompt_tokens"], usage["completion_tokens"]
            answered.cached_tokens = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return piece


def chat_models(client: ServerClient) -> list[str]:
    """Return the models that can chat, by name. Errors: UnreachableError."""
    rows = client.get("/sla")["models"]
    return sorted({row["model"] for row in rows if row["has_chat_template"] and row["is_ready"]})


def choose_model(client: ServerClient, name: str) -> str:
    """Return the name, or the first model that can chat where none is given.

    Errors: NotFoundError for a model that cannot, or where there is none.
    """
    names = chat_models(client)
    if not name:
        if not names:
            raise NotFoundError(
                "no model of the server can chat", cure="`hekla models pull` fetches one, or see `hekla models list`"
            )
        return names[0]
    if name.partition(":")[0] not in names:
        raise NotFoundError(f"no model {name!r} that can chat is served", cure=nearest_name(name, names))
    return name
