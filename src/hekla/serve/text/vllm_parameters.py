"""vLLM's SamplingParams as JSON text, as Triton's vLLM backend takes them in the tensor `sampling_parameters`."""

import orjson

from hekla.base.errors import InputError
from hekla.serve.openai.fields import Fields
from hekla.serve.openai.sampling import (
    KEYS,
    MOST_TOKENS,
    left_out,
    read_sampling,
    read_stop,
    read_stop_tokens,
    read_structure,
)
from hekla.serve.text.wish import TextWish

_WHERE = "input 'sampling_parameters'"


def read_parameters(content: bytes) -> TextWish:
    """Return a wish without a prompt. Errors: InputError naming the key."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error}", where=_WHERE) from None
    if not isinstance(document, dict):
        raise InputError("must be a JSON object", where=_WHERE)
    # The backend's own clients send numbers as text.
    document = {
        key: _number(value) if isinstance(value, str) and key != "stop" else value for key, value in document.items()
    }
    fields = Fields(document, "$", (*KEYS, "max_tokens"))
    structure = read_structure(fields)
    return TextWish(
        prompts=(),
        max_tokens=fields.whole("max_tokens", 1, MOST_TOKENS, 16),
        sampling=read_sampling(fields, None),
        left_out=left_out(fields),
        stop=read_stop(fields),
        stop_tokens=read_stop_tokens(fields),
        ignore_end=fields.boolean("ignore_eos"),
        grammar=structure.grammar,
        grammar_where=structure.where,
        tenant=fields.text("user"),
        keep_tokens=fields.whole("truncate_prompt_tokens", 1, MOST_TOKENS),
    )


def _number(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
