"""From a wish to the engine's requests: prompts are written, cut where that was asked for, and checked.

Runs beside the event loop: a long prompt takes milliseconds to become tokens, and so may a grammar.
"""

import bisect
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from hekla.base.errors import (
    DeadlineError,
    HeklaError,
    InputError,
    NotFoundError,
    TooLargeError,
    UnsupportedError,
)
from hekla.protocols.text_engine import ChatPrompt, Grammar, RequestId, Sampling, TextEngine, TextRequest
from hekla.serve.text.wish import Conversation, Prompt, TextWish

_ROOM_SHARE = 4  # a prompt that is cut leaves a quarter of the context to the answer, at most `_ROOM_TOKENS`
_ROOM_TOKENS = 256

_OPTIONS = frozenset({"stop", "max_tokens", *(field.name for field in fields(Sampling))})


class ContextError(TooLargeError):
    """A prompt is longer than what the model can read."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the model adds to a wish."""

    priority: int  # as engines have it: the greater goes first
    deadline_s: float | None
    is_timed: bool


def prepare(engine: TextEngine, wish: TextWish, terms: Terms, ids: Sequence[RequestId]) -> list[TextRequest]:
    """Return the engine's requests, prompt by prompt; `ids` are one for each.

    Errors: ContextError with both numbers; InputError with the place in the request; NotFoundError for an adapter;
    DeadlineError when it is too late already.
    """
    if terms.deadline_s is not None and terms.deadline_s <= time.monotonic():
        raise DeadlineError("the time allowed was over before the prompt was read")
    requests: list[TextRequest] = []
    for number, prompt in enumerate(wish.prompts):
        written = _written(engine, wish, prompt)
        tokens = written.tokens
        first = len(requests)
        request = TextRequest(
            request_id=ids[first],
            prompt=tokens,
            max_tokens=_limit(engine, wish, tokens),
            sampling=wish.sampling,
            stop=(*wish.stop, *written.stop),
            stop_tokens=wish.stop_tokens,
            ignore_end=wish.ignore_end,
            grammar=_grammar(wish, prompt, written),
            adapter=wish.adapter,
            tenant=wish.tenant,
            priority=terms.priority,
            deadline_s=terms.deadline_s,
            is_timed=terms.is_timed,
            received_s=wish.received_s,
        )
        _check(engine, wish, request)
        if wish.grammar is not None and written.grammar is not None:
            # Nothing will be held to the form: it is refused all the same where it is wrong.
            _check(engine, wish, replace(request, grammar=wish.grammar))
        for answer in range(wish.answers):
            seed = wish.sampling.seed
            # Answers to one prompt differ, and the same seed gives the same ones again.
            sampling = wish.sampling if seed is None or not answer else replace(wish.sampling, seed=seed + answer)
            request_id = ids[number * wish.answers + answer]
            requests.append(replace(request, request_id=request_id, sampling=sampling))
    return requests


def _written(engine: TextEngine, wish: TextWish, prompt: Prompt) -> ChatPrompt:
    """Return the prompt as tokens that fit the context."""
    context = engine.info.context_tokens
    if isinstance(prompt, Conversation):
        written = _render(engine, prompt)
        if len(written.tokens) >= context and wish.truncation == "oldest":
            written = _without_oldest(engine, prompt, context - _room(wish, context))
    else:
        tokens = engine.encode(prompt, is_special=True) if isinstance(prompt, str) else prompt
        if len(tokens) >= context and wish.truncation == "oldest":
            tokens = tokens[-(context - _room(wish, context)) :]
        written = ChatPrompt("", tokens)
    if wish.keep_tokens is not None and len(written.tokens) > wish.keep_tokens:
        written = replace(written, tokens=written.tokens[-wish.keep_tokens :])
    if not written.tokens:
        raise InputError("is empty", where=wish.where, cure="write something")
    if len(written.tokens) >= context:
        raise ContextError(
            wish.where,
            limit=f"{context} tokens for prompt and answer",
            got=f"{len(written.tokens)} tokens",
            cure='shorten it, or ask for the end of it ("truncation": "auto" or "truncate_prompt_tokens")',
        )
    return written


def _render(engine: TextEngine, prompt: Conversation) -> ChatPrompt:
    try:
        return engine.render_chat(
            prompt.messages, tools=prompt.tools, tool_choice=prompt.tool_choice, options=prompt.options
        )
    except UnsupportedError as error:
        # Not 501, which OpenAI's client would try again.
        raise InputError(error.message, where=error.where or "$.messages", cure=error.cure) from error


def _grammar(wish: TextWish, prompt: Prompt, written: ChatPrompt) -> Grammar | None:
    """Return what holds the answer: calls where one is demanded; the form, or where tools may be called either."""
    if wish.grammar is None or written.grammar is not None:
        return written.grammar
    if not isinstance(prompt, Conversation) or not prompt.tools or prompt.tool_choice == "none":
        return wish.grammar
    if written.calls is None:
        raise InputError(
            "this model writes calls as JSON objects, which cannot be told from an answer that has a form",
            where=wish.grammar_where,
            cure='leave it out, or write "tool_choice": "none" or "required"',
        )
    return replace(written.calls, otherwise=wish.grammar)


def _without_oldest(engine: TextEngine, prompt: Conversation, limit: int) -> ChatPrompt:
    """Return the conversation less as many of its oldest messages as must go; instructions at its head stay."""
    messages = list(prompt.messages)
    head = next((at for at, message in enumerate(messages) if message["role"] not in ("system", "developer")), 0)
    starts = [at for at in range(head, len(messages)) if messages[at]["role"] == "user"] or [head]

    def shortened(start: int) -> ChatPrompt:
        return _render(engine, replace(prompt, messages=[*messages[:head], *messages[start:]]))

    # More left out is never longer, so the first start that fits is found in few tries.
    found = bisect.bisect_left(starts, 1, key=lambda start: int(len(shortened(start).tokens) <= limit))
    return shortened(starts[min(found, len(starts) - 1)])


def _room(wish: TextWish, context: int) -> int:
    room = min(_ROOM_TOKENS, context // _ROOM_SHARE)
    return max(1, room if wish.max_tokens is None else min(wish.max_tokens, context // 2))


def _limit(engine: TextEngine, wish: TextWish, tokens: tuple[int, ...]) -> int:
    room = engine.info.context_tokens - len(tokens)
    return room if wish.max_tokens is None else min(wish.max_tokens, room)


def _check(engine: TextEngine, wish: TextWish, request: TextRequest) -> None:
    try:
        engine.check(request)
    except (TooLargeError, NotFoundError):
        raise
    except InputError as error:
        raise placed(error, wish, request) from error
    except UnsupportedError as error:
        raise InputError(error.message, where=error.where or wish.where, cure=error.cure) from error


def placed(error: HeklaError, wish: TextWish, request: TextRequest) -> HeklaError:
    """Return an engine's error as one about the client's request, where that is what is wrong."""
    if not isinstance(error, InputError) or isinstance(error, TooLargeError):
        return error
    return InputError(error.message, where=_place(error, wish, request), cure=error.cure)


def _place(error: InputError, wish: TextWish, request: TextRequest) -> str:
    """Return what an engine's error is about as the client's request names it; engines name fields of `TextRequest`."""
    if error.where.startswith("$"):
        return error.where
    if error.where in _OPTIONS:
        return f"$.{error.where}"
    is_form = wish.grammar is not None and request.grammar == wish.grammar and error.where in ("", "grammar")
    if is_form or error.where == "grammar.otherwise":
        return wish.grammar_where
    return "$.tools" if error.where == "grammar" else wish.where  # the template made it of the tools' parameters
