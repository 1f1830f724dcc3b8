"""What a request must be, before it costs anything."""

import math
from collections.abc import Collection

from hekla.base.errors import InputError, NotFoundError, TooLargeError, nearest_name
from hekla.protocols.text_engine import Sampling, TextModelInfo, TextRequest

MOST_LOGPROBS = 20
MOST_BIASES = 1024
MOST_STOPS = 16
LONGEST_STOP = 1024  # characters


def check_request(request: TextRequest, info: TextModelInfo, adapters: Collection[str]) -> None:
    """Errors: as `TextEngine.check`, but for the grammar."""
    if not request.prompt:
        raise InputError("the prompt is empty", where="prompt", cure="send at least one token")
    if len(request.prompt) >= info.context_tokens:
        raise TooLargeError(
            "prompt",
            limit=f"{info.context_tokens - 1} tokens, the context less one for an answer",
            got=f"{len(request.prompt)} tokens",
            cure="shorten it",
        )
    if min(request.prompt) < 0 or max(request.prompt) >= info.vocabulary_tokens:
        raise InputError(f"a token is not between 0 and {info.vocabulary_tokens - 1}", where="prompt")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InputError(f"expected at least 1, got {request.max_tokens}", where="max_tokens")
    if len(request.stop) > MOST_STOPS or any(not 0 < len(stop) <= LONGEST_STOP for stop in request.stop):
        raise InputError(f"at most {MOST_STOPS} stop texts of 1 to {LONGEST_STOP} characters", where="stop")
    if request.adapter and request.adapter not in adapters:
        raise NotFoundError(
            f"no adapter {request.adapter!r} is loaded", where="adapter", cure=nearest_name(request.adapter, adapters)
        )
    check_sampling(request.sampling, info.vocabulary_tokens)


def check_sampling(sampling: Sampling, vocabulary_tokens: int) -> None:
    """Errors: InputError naming the option."""
    _within("temperature", sampling.temperature, 0, 100)
    _within("top_p", sampling.top_p, 0, 1)
    _within("min_p", sampling.min_p, 0, 1)
    _within("repetition_penalty", sampling.repetition_penalty, 0.01, 100)
    _within("presence_penalty", sampling.presence_penalty, -100, 100)
    _within("frequency_penalty", sampling.frequency_penalty, -100, 100)
    _within("top_k", sampling.top_k, 0, 2**31 - 1)
    if sampling.logprobs is not None:
        _within("logprobs", sampling.logprobs, 0, MOST_LOGPROBS)
    if len(sampling.logit_bias) > MOST_BIASES:
        raise InputError(f"at most {MOST_BIASES} tokens, got {len(sampling.logit_bias)}", where="logit_bias")
    for token, bias in sampling.logit_bias.items():
        if not 0 <= token < vocabulary_tokens:
            raise InputError(f"token {token} is not between 0 and {vocabulary_tokens - 1}", where="logit_bias")
        _within("logit_bias", bias, -1000, 1000)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not math.isfinite(value) or not least <= value <= most:
        raise InputError(f"expected {least} to {most}, got {value}", where=name)
