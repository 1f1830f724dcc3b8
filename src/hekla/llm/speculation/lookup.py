"""Guesses from the text itself: what followed the last few tokens when they stood there before.

Quoting, editing code and filling in forms repeat their prompt. Source: prompt lookup decoding (Saxena, 2023).
"""

from collections.abc import Sequence

from hekla.llm.speculation.drafter import Guess
from hekla.protocols.text_engine import RequestId

_SHORTEST, _LONGEST = 2, 4  # tokens of the end that are looked up


class PromptLookup:
    """Keeps, for each request, where every pair of tokens stood last."""

    def __init__(self) -> None:
        self._known: dict[RequestId, tuple[dict[tuple[int, ...], int], list[int]]] = {}

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
        places, seen = self._known.setdefault(guess.request_id, ({}, [0]))
        tokens = guess.tokens
        for end in range(seen[0], len(tokens)):  # ends before the last token: what follows is known
            for length in range(_SHORTEST, _LONGEST + 1):
                if end >= length:
                    places[tuple(tokens[end - length : end])] = end
        seen[0] = len(tokens)
        for length in range(min(_LONGEST, len(tokens) - 1), _SHORTEST - 1, -1):
            place = places.get(tuple(tokens[-length:]))
            if place is not None:
                return tokens[place : place + guess.most]
        return []
