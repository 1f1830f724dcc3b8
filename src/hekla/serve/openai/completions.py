"""`POST /v1/completions`: going on with a text, or with tokens."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hekla.base.errors import HeklaError, InputError, quoted
from hekla.protocols.text_engine import TextEngine
from hekla.serve.http.message import Exchange
from hekla.serve.openai.chat_answer import DONE, usage
from hekla.serve.openai.chat_request import (
    HINTS,
    SHARED,
    one_structure,
    read_model,
    read_stream,
    read_wish,
)
from hekla.serve.openai.draft import Draft, ScoredToken
from hekla.serve.openai.fields import Fields, read_body, text_at
from hekla.serve.openai.reply import event, failure_event
from hekla.serve.openai.sampling import (
    KEYS,
    MOST_ANSWERS,
    MOST_TOKENS,
    read_response_format,
    read_structure,
    token_at,
)
from hekla.serve.text.wish import Begun, Prompt, TextWish

# Any: JSON documents.
Json = dict[str, Any]

_MOST_PROMPTS = 128
_DEFAULT_TOKENS = 16  # as OpenAI has it
_KEYS = (
    *SHARED,
    *HINTS,
    *KEYS,
    *("prompt", "suffix", "echo", "best_of", "n", "max_tokens", "logprobs", "response_format", "truncation"),
)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a client asked for."""

    model: str
    wish: TextWish
    is_stream: bool
    with_usage: bool


def read_completion(exchange: Exchange) -> CompletionRequest:
    """Return the request in a body. Errors: InputError with the JSON path; TooLargeError."""
    fields = Fields(read_body(exchange.body), "$", _KEYS)
    model = read_model(fields)
    answers = fields.whole("n", 1, MOST_ANSWERS, 1) or 1
    fields.refuse("suffix", ("",), "is not taken: the models here only go on, they fill no gap")
    fields.refuse("echo", (False,), "is not done: the prompt's own tokens are not scored", "put the prompt before it")
    fields.refuse("best_of", (answers,), "is not done: every answer that is written is sent", "use n")
    prompts = _prompts(fields)
    if len(prompts) * answers > MOST_ANSWERS:
        raise InputError(
            f"{len(prompts)} prompts with {answers} answers each are over {MOST_ANSWERS}",
            where="$.prompt",
            cure="send several requests",
        )
    structure = one_structure(read_response_format(fields), read_structure(fields))
    is_stream, with_usage = read_stream(fields)
    wish = TextWish(
        prompts=prompts,
        answers=answers,
        max_tokens=fields.whole("max_tokens", 1, MOST_TOKENS, _DEFAULT_TOKENS),
        truncation="oldest" if fields.choice("truncation", ("auto", "disabled"), "disabled") == "auto" else "refuse",
        where="$.prompt",
        **read_wish(fields, exchange, structure, fields.whole("logprobs", 0, 20)),
    )
    return CompletionRequest(model, wish, is_stream, with_usage)


def _prompts(fields: Fields) -> tuple[Prompt, ...]:
    value = fields.raw("prompt")
    if isinstance(value, str):
        return (text_at(value, "$.prompt"),)
    prompts = fields.listed("prompt", MOST_TOKENS)
    if not prompts:
        raise fields.error("prompt", "must be a text, a list of texts, or tokens")
    if isinstance(prompts[0], int):
        return (_tokens(prompts, "$.prompt"),)
    if len(prompts) > _MOST_PROMPTS:
        raise fields.error("prompt", f"has {len(prompts)} prompts", f"allowed: up to {_MOST_PROMPTS}")
    return tuple(_prompt(prompt, f"$.prompt[{at}]") for at, prompt in enumerate(prompts))


# Any: an element of the list.
def _prompt(value: Any, where: str) -> Prompt:
    if isinstance(value, str):
        return text_at(value, where)
    if isinstance(value, list) and value:
        return _tokens(value, where)
    raise InputError(f"must be a text or a list of tokens, got {quoted(value)}", where=where)


def _tokens(value: Sequence[Any], where: str) -> tuple[int, ...]:
    return tuple(token_at(token, f"{where}[{at}]") for at, token in enumerate(value))


class CompletionForm:
    """`Form` of one request."""

    def __init__(self, request: CompletionRequest, engine: TextEngine, created_s: int) -> None:
        self._engine, self._answers = engine, request.wish.answers
        self._with_usage = request.with_usage
        self._has_logprobs = request.wish.sampling.logprobs is not None
        self._head: Json = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": created_s,
            "model": request.model,
        }
        self._prompt_tokens = 0
        self._offsets: dict[int, int] = {}

    def begin(self, begun: Begun) -> bytes:
        """Nothing is sent before the first token."""
        self._prompt_tokens = sum(begun.prompt_tokens)
        return b""

    def news(self, draft: Draft) -> bytes:
        """Return one event of all that came."""
        document = {**self._head, "choices": [self._choice(draft)]}
        if self._with_usage:
            document["usage"] = None
        return event(document)

    def tail(self, drafts: Sequence[Draft]) -> bytes:
        """Return the usage, where it was asked for, and the end of the stream."""
        if not self._with_usage:
            return DONE
        return event({**self._head, "choices": [], "usage": self._usage(drafts)}) + DONE

    def failure(self, error: HeklaError) -> bytes:
        """Return the error as an event."""
        return failure_event(error)

    def whole(self, drafts: Sequence[Draft]) -> Json:
        """Return the document of all answers."""
        return {**self._head, "choices": [self._choice(draft) for draft in drafts], "usage": self._usage(drafts)}

    def _choice(self, draft: Draft) -> Json:
        choice: Json = {
            "index": draft.index,
            "text": draft.take_text(),
            "logprobs": self._logprobs(draft.index, draft.take_scored()) if self._has_logprobs else None,
            "finish_reason": draft.finish_reason,
        }
        return choice if draft.stop_reason is None else {**choice, "stop_reason": draft.stop_reason}

    def _logprobs(self, index: int, scored: Sequence[ScoredToken]) -> Json:
        texts = [self._text(token.token) for token in scored]
        offsets = []
        at = self._offsets.get(index, 0)
        for text in texts:
            offsets.append(at)
            at += len(text)
        self._offsets[index] = at
        return {
            "tokens": texts,
            "token_logprobs": [max(token.logprob, -9999.0) for token in scored],
            "top_logprobs": [{self._text(top.token): top.logprob for top in token.top} for token in scored],
            "text_offset": offsets,
        }

    def _text(self, token: int) -> str:
        return self._engine.token_bytes(token).decode(errors="replace")

    def _usage(self, drafts: Sequence[Draft]) -> Json:
        return usage(self._prompt_tokens, drafts, self._answers)
