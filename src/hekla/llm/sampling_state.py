"""How the tokens of one answer are chosen: random numbers, and the tokens that penalties and biases touch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.llm.runner import F32, I32
from hekla.protocols.text_engine import Sampling

_MASK = (1 << 64) - 1


def random_at(seed: int, position: int) -> float:
    """Return a number in [0, 1) with 24 random bits that depends on nothing but a seed and a position.

    Source: SplitMix64 (Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, 2014), jumped to.
    """
    state = _mixed(_mixed(seed & _MASK) + position * 0x9E3779B97F4A7C15 & _MASK)
    return (state >> 40) / (1 << 24)


def _mixed(state: int) -> int:
    state = state + 0x9E3779B97F4A7C15 & _MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return state ^ state >> 31


@dataclass(slots=True)
class SeenTokens:
    """The tokens of one row that penalties or biases touch; each array (n,)."""

    token: I32
    prompt_or_answer: I32
    count: I32
    bias: F32


_NOTHING_SEEN = SeenTokens(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))


class SamplingState:
    """Grows with the answer: arrays with room for twice what is needed."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int], seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        self._has_penalty = sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
        self._has_repetition = sampling.repetition_penalty != 1
        self._place: dict[int, int] = {}
        self._token = np.zeros(0, np.int32)
        self._in_text = np.zeros(0, np.int32)
        self._count = np.zeros(0, np.int32)
        self._bias = np.zeros(0, np.float32)
        for token, bias in sampling.logit_bias.items():
            place = self._place_of(token)  # before the array is looked at: it may grow
            self._bias[place] = bias
        if self._has_repetition:
            for token in prompt:
                place = self._place_of(token)
                self._in_text[place] = 1

    def chosen(self, token: int) -> bool:
        """Note a token of the answer. Return True if it is new to prompt and answer: what `unchosen` asks for."""
        if not self._has_penalty and not self._has_repetition:
            return False
        place = self._place_of(token)
        is_new = not self._in_text[place]
        self._in_text[place] = 1
        self._count[place] += 1
        return is_new

    def unchosen(self, token: int, *, was_new: bool) -> None:
        """Undo the last `chosen`, which was only a guess. (A token that is nowhere may keep its place.)"""
        if self._has_penalty or self._has_repetition:
            place = self._place[token]
            self._count[place] -= 1
            if was_new:
                self._in_text[place] = 0

    def seen(self) -> SeenTokens:
        """Return what the next row touches: views, until `chosen`."""
        length = len(self._place)
        if not length:
            return _NOTHING_SEEN
        return SeenTokens(self._token[:length], self._in_text[:length], self._count[:length], self._bias[:length])

    def _place_of(self, token: int) -> int:
        place = self._place.get(token)
        if place is None:
            place = self._place[token] = len(self._place)
            if place == len(self._token):
                self._token, self._in_text = _doubled(self._token), _doubled(self._in_text)
                self._count, self._bias = _doubled(self._count), _longer(self._bias)
            self._token[place] = token
        return place


def _doubled(array: I32) -> I32:
    return np.concatenate([array, np.zeros(max(16, len(array)), np.int32)])


def _longer(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([array, np.zeros(max(16, len(array)), np.float32)])
