"""What follows what in a corpus: counts of the next token after the last few."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.engines.ngram.vocabulary import ASSISTANT, END, SIZE

_ELSEWHERE = 1e-4  # of the probability, for what never followed in the corpus

Logprobs = NDArray[np.float64]


class Counts:
    """Made from a corpus once. Read by one thread."""

    def __init__(self, corpus: bytes, order: int) -> None:
        self._order = order
        self._next: dict[tuple[int, ...], dict[int, int]] = {}
        self._known: dict[tuple[int, ...], Logprobs] = {}
        for paragraph in _paragraphs(corpus):
            self._learn([ASSISTANT, *paragraph, END])

    def logprobs(self, tokens: Sequence[int]) -> Logprobs:
        """Return the natural logarithms of the next token's probabilities, (SIZE,) f64.

        The longest end of `tokens` that the corpus has decides, of at most `order` tokens.
        """
        for length in range(min(self._order, len(tokens)), -1, -1):
            context = tuple(tokens[len(tokens) - length :])
            followers = self._next.get(context)
            if followers is not None:
                return self._distribution(context, followers)
        raise AssertionError("the empty context is in every corpus")

    def _learn(self, tokens: Sequence[int]) -> None:
        for at in range(1, len(tokens)):
            for length in range(min(self._order, at) + 1):
                followers = self._next.setdefault(tuple(tokens[at - length : at]), {})
                followers[tokens[at]] = followers.get(tokens[at], 0) + 1

    def _distribution(self, context: tuple[int, ...], followers: dict[int, int]) -> Logprobs:
        known = self._known.get(context)
        if known is None:
            chances = np.full(SIZE, _ELSEWHERE / SIZE)
            total = sum(followers.values())
            for token, count in followers.items():
                chances[token] += (1 - _ELSEWHERE) * count / total
            known = self._known[context] = np.log(chances)
        return known


def _paragraphs(corpus: bytes) -> Iterable[bytes]:
    return [text for part in corpus.split(b"\n\n") if (text := part.strip())] or [b"..."]
