"""The next token out of the model's distribution, as `hekla.protocols.text_engine.Sampling` says."""

from collections.abc import Mapping

import numpy as np

from hekla.engines.ngram.counts import Logprobs
from hekla.protocols.text_engine import Sampling, TokenLogprob


def choose(logprobs: Logprobs, sampling: Sampling, seen: Mapping[int, int], random: np.random.Generator) -> int:
    """Return the token chosen; `seen` counts those of the prompt (0) and of the answer (1 or more)."""
    scores = _penalised(logprobs, sampling, seen)
    if not sampling.temperature:
        return int(scores.argmax())
    scores = scores / sampling.temperature
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    order = np.argsort(-chances, kind="stable")
    kept = _kept(chances[order], sampling)
    chances = chances[order[:kept]]
    return int(order[int(np.searchsorted(np.cumsum(chances), random.random() * chances.sum(), side="right"))])


def likeliest(logprobs: Logprobs, count: int) -> tuple[TokenLogprob, ...]:
    """Return the most probable tokens, the likeliest first."""
    order = np.argsort(-logprobs, kind="stable")[:count]
    return tuple(TokenLogprob(int(token), float(logprobs[token])) for token in order)


def _kept(chances: Logprobs, sampling: Sampling) -> int:
    """Return how many of the falling chances may be chosen: at least one."""
    kept = len(chances)
    if sampling.top_k:
        kept = min(kept, sampling.top_k)
    if sampling.top_p < 1:
        kept = min(kept, int(np.searchsorted(np.cumsum(chances), sampling.top_p)) + 1)
    if sampling.min_p:
        kept = min(kept, int((chances >= sampling.min_p * chances[0]).sum()))
    return max(kept, 1)


def _penalised(logprobs: Logprobs, sampling: Sampling, seen: Mapping[int, int]) -> Logprobs:
    repetition, presence, frequency = (
        sampling.repetition_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    )
    if repetition == 1 and not presence and not frequency and not sampling.logit_bias:
        return logprobs
    scores = logprobs.copy()
    for token, times in seen.items():
        scores[token] *= repetition if scores[token] < 0 else 1 / repetition
        if times:
            scores[token] -= presence + frequency * times
    for token, bias in sampling.logit_bias.items():
        scores[token] += bias
    return scores
