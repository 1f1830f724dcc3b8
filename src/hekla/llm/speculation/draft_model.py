"""Guesses of a smaller model.

It chooses each token by the same random number as the large one will: where the two models agree in distribution, so
do their choices, at any temperature.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hekla.llm.batch import BatchArrays
from hekla.llm.pages import PagePool
from hekla.llm.runner import ModelRunner
from hekla.llm.sequence import Chunk
from hekla.llm.sequence import Sequence as Known
from hekla.llm.speculation.drafter import Guess
from hekla.protocols.text_engine import RequestId


@dataclass(slots=True)
class _Cache:
    """What the small model has of one request."""

    known: Known  # its tokens: guessed ones after the true ones
    true_tokens: int = 0  # of them were true when guesses were last made


@dataclass(slots=True)
class _Round:
    """One request while its guesses are made."""

    guess: Guess
    known: Known
    drafted: list[int] = field(default_factory=list)
    undo: list[tuple[int, bool]] = field(default_factory=list)


class DraftModel:
    """Keeps, for each request, the keys and values of the small model."""

    def __init__(self, runner: ModelRunner, *, context_tokens: int) -> None:
        self._runner, self._context_tokens = runner, context_tokens
        self._pool = PagePool(runner.pages)
        self._arrays = BatchArrays(
            max_tokens=runner.max_step_tokens,
            max_sequences=runner.max_step_tokens,
            max_rows=runner.max_step_tokens,
            max_pages=-(-context_tokens // runner.page_tokens) + 1,
            vocabulary_tokens=runner.vocabulary_tokens,
        )
        self._caches: dict[RequestId, _Cache] = {}

    def propose(self, guesses: Sequence[Guess]) -> Sequence[list[int]]:
        """Return what the small model would write."""
        rounds = [_Round(guess, self._caught_up(guess)) for guess in guesses]
        left = [one for one in rounds if one.guess.most and len(one.known.tokens) < self._context_tokens]
        while left:
            left = self._step(left)
        for one in rounds:
            for token, was_new in reversed(one.undo):
                one.guess.state.unchosen(token, was_new=was_new)
        return [one.drafted for one in rounds]

    def forget(self, request_id: RequestId) -> None:
        """Free the pages of a request."""
        cache = self._caches.pop(request_id, None)
        if cache is not None:
            for page in cache.known.pages:
                self._pool.release(page)

    def close(self) -> None:
        """Free everything."""
        self._caches.clear()
        self._runner.close()

    def _caught_up(self, guess: Guess) -> Known:
        """Return what is known of a request, less the guesses that came to nothing."""
        cache = self._caches.get(guess.request_id)
        if cache is None:
            cache = self._caches[guess.request_id] = _Cache(Known(guess.request_id, [], 0, self._context_tokens))
        known, true = cache.known, guess.tokens
        same, most = cache.true_tokens, min(known.computed, len(true) - 1)
        while same < most and known.tokens[same] == true[same]:
            same += 1
        known.computed = min(same, most)
        known.tokens[:] = true
        cache.true_tokens = len(true)
        return known

    def _step(self, rounds: list[_Round]) -> list[_Round]:
        """Read on for all; return those that go on. A long prompt is read in several calls of `propose`."""
        budget, chunks, able = self._runner.max_step_tokens, [], []
        for place, one in enumerate(rounds):
            count = min(len(one.known.tokens) - one.known.computed, budget - (len(rounds) - place - 1))
            if count > 0 and self._grow(one.known, one.known.computed + count):
                chunks.append(Chunk(one.known, one.known.computed, count))
                able.append(one)
                budget -= count
        if not chunks:
            return []
        self._arrays.lay_out(chunks, [-1] * len(chunks))
        place, asked = 0, []
        for chunk, one in zip(chunks, able, strict=True):
            place += chunk.count
            one.known.computed += chunk.count
            if chunk.is_last:
                self._arrays.add_row(place - 1, len(one.known.tokens), one.guess.state, None)
                asked.append(one)
        result = self._runner.step(self._arrays.finished())
        for row, one in enumerate(asked):
            token = int(result.tokens[row])
            one.drafted.append(token)
            one.undo.append((token, one.guess.state.chosen(token)))
            one.known.tokens.append(token)
        return [
            one for one in asked if len(one.drafted) < one.guess.most and len(one.known.tokens) < self._context_tokens
        ]

    def _grow(self, known: Known, tokens: int) -> bool:
        while len(known.pages) * self._runner.page_tokens < tokens:
            if not self._pool.free:
                return False
            known.pages.append(self._pool.take())
        return True
