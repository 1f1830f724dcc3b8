"""Guesses from the text itself: what followed the last few tokens when they stood there before.

Quoting, editing code and filling in forms repeat their prompt. Source: prompt lookup decoding (Saxena, 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hekla.llm.speculation.drafter import Guess
from hekla.protocols.text_engine import RequestId

_LENGTHS = (4, 2)  # of the ends that are looked up, the longer first
_LAST_TOKENS = 4096  # of a prompt that are known: a bound on memory and on the time of the first guess


class PromptLookup:
    """Keeps, for each request, where every few tokens stood last."""

    def __init__(self) -> None:
        self._known: dict[RequestId, _Places] = {}

    def propose(self, guesses: Sequence[Guess]) -> Sequence[list[int]]:
        """Return what followed the longest known end of each text."""
        return [self._followers(guess) for guess in guesses]

    def forget(self, request_id: RequestId) -> None:
        """Forget the text of a request."""
        self._known.pop(request_id, None)

    def close(self) -> None:
        """Forget all."""
        self._known.clear()

    def _followers(self, guess: Guess) -> list[int]:
        tokens = guess.tokens
        known = self._known.get(guess.request_id)
        if known is None:
            known = self._known[guess.request_id] = _Places(max(0, len(tokens) - _LAST_TOKENS))
        known.read(tokens)
        for length in _LENGTHS:
            place = known.after.get(tuple(tokens[-length:])) if len(tokens) > length else None
            if place is not None:
                return tokens[place : place + guess.most]
        return []


@dataclass(slots=True)
class _Places:
    """Where tokens follow the few before them."""

    read_tokens: int
    after: dict[tuple[int, ...], int] = field(default_factory=dict)

    def read(self, tokens: list[int]) -> None:
        """Take in the ends before each token that is new: what follows the last one is not known yet."""
        for end in range(self.read_tokens, len(tokens)):
            for length in _LENGTHS:
                if end >= length:
                    self.after[tuple(tokens[end - length : end])] = end
        self.read_tokens = len(tokens)
