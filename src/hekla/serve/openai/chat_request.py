"""`POST /v1/chat/completions`: what a client may ask."""

from dataclasses import dataclass
from typing import Any

from hekla.base.errors import InputError
from hekla.serve.http.message import Exchange
from hekla.serve.openai.conversation import read_messages, read_tool_choice, read_tools
from hekla.serve.openai.fields import Fields, Json, read_body
from hekla.serve.openai.sampling import (
    KEYS,
    MOST_ANSWERS,
    MOST_TOKENS,
    Structure,
    left_out,
    read_response_format,
    read_sampling,
    read_stop,
    read_stop_tokens,
    read_structure,
)
from hekla.serve.text.wish import Conversation, TextWish

# What every request for text may say besides, and what it may say that changes nothing: hints to OpenAI's own service.
SHARED = ("model", "stream", "stream_options", "metadata", "service_tier", "safety_identifier")
HINTS = ("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")
_REFUSED = {
    "audio": "is not written by this model, which writes text",
    "functions": "is OpenAI's old form: use tools",
    "function_call": "is OpenAI's old form: use tool_choice",
    "prediction": "is not taken: the engine guesses by itself",
    "reasoning_effort": "is not taken: no model here reasons apart from its answer",
    "verbosity": "is not taken: say it in the instructions",
    "web_search_options": "is not taken: the server searches nothing",
    "moderation": "is not taken: the server moderates nothing",
}
_KEYS = (
    *SHARED,
    *HINTS,
    *KEYS,
    *("messages", "n", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "response_format"),
    *("tools", "tool_choice", "parallel_tool_calls", "store", "modalities", "chat_template_kwargs", "truncation"),
    *_REFUSED,
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asked for."""

    model: str
    wish: TextWish
    is_stream: bool
    with_usage: bool
    tools: tuple[Json, ...]  # those the model may call
    has_logprobs: bool
    may_call_once: bool  # `parallel_tool_calls` is false


def read_chat(exchange: Exchange) -> ChatRequest:
    """Return the request in a body. Errors: InputError with the JSON path; TooLargeError."""
    fields = Fields(read_body(exchange.body), "$", _KEYS)
    model = read_model(fields)
    messages = read_messages(fields)
    tools = read_tools(fields)
    tool_choice = read_tool_choice(fields, tools)
    is_parallel = fields.boolean("parallel_tool_calls", True)
    for key, reason in _REFUSED.items():
        fields.refuse(key, ("none",) if key in ("reasoning_effort", "function_call") else (), reason)
    fields.refuse("store", (False,), "chats are not kept", "leave it out; /v1/responses keeps answers")
    fields.refuse("modalities", (["text"],), "the model writes text only")
    callable_tools = () if tool_choice == "none" else tuple(tools)
    structure = one_structure(read_response_format(fields), read_structure(fields))
    logprobs = _logprobs(fields)
    wish = read_wish(fields, exchange, structure, logprobs)
    is_stream, with_usage = read_stream(fields)
    options = fields.mapping("chat_template_kwargs")
    return ChatRequest(
        model,
        TextWish(
            prompts=(Conversation(messages, tuple(tools), tool_choice, options),),
            answers=fields.whole("n", 1, MOST_ANSWERS, 1) or 1,
            max_tokens=_max_tokens(fields),
            truncation="oldest"
            if fields.choice("truncation", ("auto", "disabled"), "disabled") == "auto"
            else "refuse",
            where="$.messages",
            **wish,
        ),
        is_stream,
        with_usage,
        callable_tools,
        logprobs is not None,
        not is_parallel,
    )


def read_model(fields: Fields) -> str:
    """Return the model's name. Errors: InputError."""
    model = fields.raw("model")
    if not isinstance(model, str) or not model:
        raise fields.error("model", "must be the name of a model", "GET /v1/models lists them")
    return model


def read_stream(fields: Fields) -> tuple[bool, bool]:
    """Return whether to stream, and whether to tell the usage at the end of the stream. Errors: InputError."""
    is_stream = fields.boolean("stream")
    options = fields.fields("stream_options", ("include_usage", "include_obfuscation"))
    if options is None:
        return is_stream, False
    if not is_stream:
        raise fields.error("stream_options", "is for streams", 'write "stream": true')
    options.boolean("include_obfuscation")
    return is_stream, options.boolean("include_usage")


# Any: the fields of a TextWish, each of its own type.
def read_wish(fields: Fields, exchange: Exchange, structure: Structure, logprobs: int | None) -> dict[str, Any]:
    """Return the fields of a wish that all requests for text share. Errors: InputError."""
    fields.mapping("metadata")
    fields.choice("service_tier", ("auto", "default"), "auto")
    headers = exchange.headers
    user = fields.text("user") or fields.text("safety_identifier")
    return {
        "sampling": read_sampling(fields, logprobs),
        "left_out": left_out(fields),
        "stop": read_stop(fields),
        "stop_tokens": read_stop_tokens(fields),
        "ignore_end": fields.boolean("ignore_eos"),
        "grammar": structure.grammar,
        "grammar_where": structure.where,
        # An operator's proxy knows better who asks than the request itself.
        "tenant": (headers.get(b"x-hekla-tenant", b"").decode("latin-1") or user)[:128],
        "priority": fields.whole("priority", 1, 1000, 0) or 0,
        "timeout_s": (fields.whole("timeout_ms", 1, 86_400_000, 0) or 0) / 1e3,
        "keep_tokens": fields.whole("truncate_prompt_tokens", 1, MOST_TOKENS),
        "received_s": exchange.received_s,
        "request_id": headers.get(b"x-request-id", b"").decode("latin-1"),
        "trace_parent": headers.get(b"traceparent", b"").decode("latin-1"),
    }


def one_structure(first: Structure, second: Structure) -> Structure:
    """Return the one of two that asks for something. Errors: InputError if both do."""
    if first.grammar is not None and second.grammar is not None:
        raise InputError("the answer's form is given twice", where=second.where, cure="drop one")
    return first if first.grammar is not None else second


def _max_tokens(fields: Fields) -> int | None:
    old = fields.whole("max_tokens", 1, MOST_TOKENS)
    new = fields.whole("max_completion_tokens", 1, MOST_TOKENS)
    if old is not None and new is not None and old != new:
        raise fields.error("max_tokens", f"is {old}, but max_completion_tokens is {new}", "drop one")
    return old if new is None else new


def _logprobs(fields: Fields) -> int | None:
    top = fields.whole("top_logprobs", 0, 20)
    if not fields.boolean("logprobs"):
        if top is not None:
            raise fields.error("top_logprobs", "needs logprobs", 'write "logprobs": true')
        return None
    return top or 0
