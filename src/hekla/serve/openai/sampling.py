"""What requests say about how to choose tokens: OpenAI's options, and those that others added and clients know."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import orjson

from hekla.base.errors import InputError, quoted
from hekla.protocols.text_engine import Grammar, Sampling
from hekla.serve.config import SamplingConfig
from hekla.serve.openai.fields import Fields, text_at

MOST_ANSWERS = 128  # as OpenAI has it
MOST_TOKENS = 1 << 24
_MOST_STOPS = 16
_MOST_BIASES = 1024
_SEEDS = (-(2**63), 2**64 - 1)

# What every request for text may say. The second row is not OpenAI's own: vLLM's names, where vLLM has them.
KEYS = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "seed", "stop", "user"),
    *("top_k", "min_p", "repetition_penalty", "stop_token_ids", "ignore_eos", "priority", "timeout_ms"),
    *("truncate_prompt_tokens", "structured_outputs"),
)
_MODELS_OWN = tuple(field.name for field in dataclasses.fields(SamplingConfig))
_STRUCTURED = ("json", "json_object", "regex", "choice", "grammar")


@dataclass(frozen=True, slots=True)
class Structure:
    """What an answer must be, and which key said so."""

    grammar: Grammar | None = None
    where: str = ""


def read_sampling(fields: Fields, logprobs: int | None) -> Sampling:
    """Return how tokens are chosen. Errors: InputError."""
    return Sampling(
        temperature=fields.number("temperature", 0, 2, 1.0),
        top_k=max(0, fields.whole("top_k", -1, MOST_TOKENS, 0) or 0),
        top_p=_above_zero(fields, "top_p"),
        min_p=fields.number("min_p", 0, 1, 0.0),
        repetition_penalty=fields.number("repetition_penalty", 0.01, 100, 1.0),
        presence_penalty=fields.number("presence_penalty", -2, 2, 0.0),
        frequency_penalty=fields.number("frequency_penalty", -2, 2, 0.0),
        logit_bias=_biases(fields),
        seed=fields.whole("seed", *_SEEDS),
        logprobs=logprobs,
    )


def left_out(fields: Fields) -> frozenset[str]:
    """Return the ways to choose tokens that a request says nothing of and the model has a word in."""
    return frozenset(key for key in _MODELS_OWN if not fields.has(key))


def read_stop(fields: Fields) -> tuple[str, ...]:
    """Return the texts that end an answer. Errors: InputError."""
    value = fields.raw("stop")
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else fields.listed("stop", _MOST_STOPS)
    for at, text in enumerate(texts):
        if not text_at(text, f"$.stop[{at}]"):
            raise InputError("is empty, which every answer begins with", where=f"$.stop[{at}]")
    return tuple(texts)


def read_stop_tokens(fields: Fields) -> frozenset[int]:
    """Return the tokens that end an answer besides the model's own. Errors: InputError."""
    return frozenset(token_at(token, f"$.stop_token_ids[{at}]") for at, token in _numbered(fields, "stop_token_ids"))


def read_structure(fields: Fields) -> Structure:
    """Return what `structured_outputs` asks for. Errors: InputError unless it asks for one thing."""
    inner = fields.fields("structured_outputs", _STRUCTURED)
    if inner is None:
        return Structure()
    asked = [key for key in _STRUCTURED if inner.has(key)]
    if len(asked) != 1:
        raise InputError(f"must have one of {', '.join(_STRUCTURED)}, got {len(asked)}", where=inner.where)
    (key,) = asked
    where, value = inner.place(key), inner.raw(key)
    if key == "json_object":
        return Structure(Grammar("json_object", "{}"), where) if inner.boolean(key) else Structure()
    if key == "json":
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        return Structure(Grammar("json_schema", text), where)
    if key == "choice":
        texts = [text_at(text, f"{where}[{at}]") for at, text in _numbered(inner, key)]
        if not texts:
            raise InputError("has nothing to choose from", where=where)
        return Structure(Grammar("choice", orjson.dumps(texts).decode()), where)
    return Structure(Grammar("regex" if key == "regex" else "lark", inner.needed_text(key, "a text")), where)


def read_response_format(fields: Fields, key: str = "response_format") -> Structure:
    """Return what `response_format` asks for: {"type": "text" | "json_object" | "json_schema"}. Errors: InputError."""
    inner = fields.fields(key, ("type", "json_schema"))
    if inner is None:
        return Structure()
    kind = inner.choice("type", ("text", "json_object", "json_schema"), "")
    if not kind:
        raise inner.error("type", "must be 'text', 'json_object' or 'json_schema'")
    if kind == "text":
        return Structure()
    if kind == "json_object":
        return Structure(Grammar("json_object", "{}"), inner.where)
    named = inner.fields("json_schema", ("name", "schema", "strict", "description"))
    if named is None:
        raise inner.error("json_schema", 'must be there: {"name": ..., "schema": {...}}')
    named.needed_text("name", "a name")
    return schema_structure(named)


def schema_structure(named: Fields) -> Structure:
    """Return the structure of {"schema": {...}, "strict": ...}. Errors: InputError."""
    named.boolean("strict")
    named.text("description")
    schema = named.mapping("schema")
    if schema is None:
        raise named.error("schema", "must be a JSON Schema")
    return Structure(Grammar("json_schema", orjson.dumps(schema).decode()), named.place("schema"))


def token_at(value: Any, where: str) -> int:
    """Return a token id. Errors: InputError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InputError(f"must be a token's number, got {quoted(value)}", where=where)
    return value


def _numbered(fields: Fields, key: str) -> "enumerate[Any]":
    return enumerate(fields.listed(key, _MOST_BIASES))


def _above_zero(fields: Fields, key: str) -> float:
    value = fields.number(key, 0, 1, 1.0)
    if not value:
        raise fields.error(key, "must be above 0, got 0", "for the likeliest token, write temperature = 0")
    return value


def _biases(fields: Fields) -> dict[int, float]:
    given = fields.mapping("logit_bias") or {}
    if len(given) > _MOST_BIASES:
        raise fields.error("logit_bias", f"has {len(given)} entries", f"allowed: up to {_MOST_BIASES}")
    biases: dict[int, float] = {}
    for key, value in given.items():
        where = f"$.logit_bias.{key[:20]}"
        if not key.isascii() or not key.isdigit() or len(key) > 9:
            raise InputError("is no token's number", where=where, cure='write {"50256": -100}')
        if isinstance(value, bool) or not isinstance(value, int | float) or not -100 <= value <= 100:
            raise InputError(f"must be a number from -100 to 100, got {quoted(value)}", where=where)
        biases[int(key)] = float(value)
    return biases
