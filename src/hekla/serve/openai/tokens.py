"""`POST /tokenize` and `/detokenize`, as vLLM has them."""

from hekla.base.errors import InputError, UnsupportedError
from hekla.protocols.text_engine import TextEngine
from hekla.serve.http.message import Exchange
from hekla.serve.openai.chat_request import read_model
from hekla.serve.openai.conversation import read_messages, read_tools
from hekla.serve.openai.fields import Fields, Json, read_body
from hekla.serve.openai.sampling import MOST_TOKENS, token_at

_TOKENIZE = (
    *("model", "prompt", "add_special_tokens", "return_token_strs"),
    *("messages", "tools", "add_generation_prompt", "chat_template_kwargs"),
)


def read_tokenize(exchange: Exchange) -> Fields:
    """Return the request in a body. Errors: InputError with the JSON path."""
    fields = Fields(read_body(exchange.body), "$", _TOKENIZE)
    if fields.has("prompt") == fields.has("messages"):
        raise InputError("must have prompt or messages, and not both", where="$")
    read_model(fields)
    return fields


def tokenized(fields: Fields, engine: TextEngine) -> Json:
    """Return {"count", "max_model_len", "tokens", "token_strs"}. Errors: InputError."""
    if fields.has("messages"):
        fields.refuse("add_generation_prompt", (True,), "is always done: the model is to answer")
        messages, tools = read_messages(fields), read_tools(fields)
        try:
            tokens = engine.render_chat(messages, tools=tools, options=fields.mapping("chat_template_kwargs")).tokens
        except UnsupportedError as error:
            raise InputError(error.message, where=error.where or "$.messages", cure=error.cure) from error
    else:
        tokens = engine.encode(fields.text("prompt"), is_special=fields.boolean("add_special_tokens", True))
    return {
        "count": len(tokens),
        "max_model_len": engine.info.context_tokens,
        "tokens": list(tokens),
        "token_strs": [engine.token_bytes(token).decode(errors="replace") for token in tokens]
        if fields.boolean("return_token_strs")
        else None,
    }


def read_detokenize(exchange: Exchange) -> tuple[str, tuple[int, ...]]:
    """Return the model's name and the tokens. Errors: InputError with the JSON path."""
    fields = Fields(read_body(exchange.body), "$", ("model", "tokens"))
    if not isinstance(fields.raw("tokens"), list):
        raise fields.error("tokens", "must be a list of tokens")
    listed = fields.listed("tokens", MOST_TOKENS)
    return read_model(fields), tuple(token_at(token, f"$.tokens[{at}]") for at, token in enumerate(listed))


def detokenized(tokens: tuple[int, ...], engine: TextEngine) -> Json:
    """Return {"prompt"}. Errors: InputError for a token out of range."""
    try:
        return {"prompt": engine.decode(tokens)}
    except InputError as error:
        raise InputError(error.message, where="$.tokens", cure=error.cure) from error
