"""A plan as the arrays of one step. The arrays are made once and filled anew each step, so that none is allocated."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.llm.grammar import GrammarState
from hekla.llm.runner import F32, I32, SamplingRows, StepBatch
from hekla.llm.sampling_state import SamplingState, random_at
from hekla.llm.sequence import Chunk


class BatchArrays:
    """Room for the largest step: `max_tokens` tokens, `max_rows` rows of logits, tables of `max_pages` pages."""

    def __init__(self, *, max_tokens: int, max_sequences: int, max_rows: int, max_pages: int, vocabulary_tokens: int):
        self._tokens, self._positions = _ints(max_tokens), _ints(max_tokens)
        self._start, self._adapter = _ints(max_sequences + 1), _ints(max_sequences)
        self._table = _ints(max_sequences * max_pages)
        self._logits_rows, self._logprobs, self._top_k, self._has_mask = (_ints(max_rows) for _ in range(4))
        self._temperature, self._top_p, self._min_p, self._random = (_floats(max_rows) for _ in range(4))
        self._repetition, self._presence, self._frequency = (_floats(max_rows) for _ in range(3))
        self._seen_start = _ints(max_rows + 1)
        self._seen_token, self._seen_in_text, self._seen_count = _ints(256), _ints(256), _ints(256)
        self._seen_bias = _floats(256)
        self._max_rows, self._words = max_rows, -(-vocabulary_tokens // 32)
        self._mask: NDArray[np.uint32] = np.zeros((0, 0), np.uint32)
        self._no_mask = self._mask
        self._rows = self._places = self._seen = 0
        self._is_masked = False

    def lay_out(self, chunks: Sequence[Chunk], adapter_slots: Sequence[int]) -> None:
        """Begin a step: tokens, positions and pages of its chunks. `add_row` follows, then `finished`."""
        place, width = 0, max(len(chunk.sequence.pages) for chunk in chunks)
        table = self._table[: len(chunks) * width].reshape(len(chunks), width)
        table.fill(-1)
        for number, chunk in enumerate(chunks):
            sequence, end = chunk.sequence, chunk.start + chunk.count
            last = place + chunk.count + chunk.drafted
            self._tokens[place : place + chunk.count] = sequence.tokens[chunk.start : end]
            if chunk.drafted:
                self._tokens[place + chunk.count : last] = sequence.draft[: chunk.drafted]
            self._positions[place:last] = range(chunk.start, end + chunk.drafted)
            self._start[number + 1] = last
            table[number, : len(sequence.pages)] = sequence.pages
            self._adapter[number] = adapter_slots[number]
            place = last
        self._places, self._chunks, self._used_table = place, len(chunks), table
        self._rows = self._seen = 0
        self._is_masked = False

    def add_row(self, place: int, position: int, state: SamplingState, grammar: GrammarState | None) -> int:
        """Ask for the token after the one at a place of the step, which will stand at a position; return its row.

        Errors: InputError when the grammar cannot say what may follow; no row is added then.
        """
        row, sampling = self._rows, state.sampling
        self._has_mask[row] = grammar is not None
        if grammar is not None:
            if not len(self._mask):
                self._mask = np.zeros((self._max_rows, self._words), np.uint32)
            grammar.write_mask(self._mask[row])
            self._is_masked = True
        self._logits_rows[row] = place
        self._temperature[row], self._top_k[row] = sampling.temperature, sampling.top_k
        self._top_p[row], self._min_p[row] = sampling.top_p, sampling.min_p
        self._repetition[row] = sampling.repetition_penalty
        self._presence[row], self._frequency[row] = sampling.presence_penalty, sampling.frequency_penalty
        self._random[row] = random_at(state.seed, position)
        self._logprobs[row] = -1 if sampling.logprobs is None else sampling.logprobs
        self._add_seen(state)
        self._rows = row + 1
        self._seen_start[row + 1] = self._seen
        return row

    def finished(self) -> StepBatch:
        """Return the step; its arrays hold until the next `lay_out`."""
        rows, seen = self._rows, self._seen
        return StepBatch(
            tokens=self._tokens[: self._places],
            positions=self._positions[: self._places],
            sequence_start=self._start[: self._chunks + 1],
            page_table=self._used_table,
            logits_rows=self._logits_rows[:rows],
            adapter=self._adapter[: self._chunks],
            sampling=SamplingRows(
                temperature=self._temperature[:rows],
                top_k=self._top_k[:rows],
                top_p=self._top_p[:rows],
                min_p=self._min_p[:rows],
                repetition=self._repetition[:rows],
                presence=self._presence[:rows],
                frequency=self._frequency[:rows],
                random=self._random[:rows],
                seen_start=self._seen_start[: rows + 1],
                seen_token=self._seen_token[:seen],
                seen_prompt_or_answer=self._seen_in_text[:seen],
                seen_count=self._seen_count[:seen],
                seen_bias=self._seen_bias[:seen],
                mask=self._mask[:rows] if self._is_masked else self._no_mask,
                has_mask=self._has_mask[:rows],
                logprobs=self._logprobs[:rows],
            ),
        )

    def _add_seen(self, state: SamplingState) -> None:
        seen = state.seen()
        first, last = self._seen, self._seen + len(seen.token)
        if first == last:
            return
        if last > len(self._seen_token):
            length = max(last, 2 * len(self._seen_token))
            self._seen_token, self._seen_in_text = _grown(self._seen_token, length), _grown(self._seen_in_text, length)
            self._seen_count = _grown(self._seen_count, length)
            longer = _floats(length)
            longer[:first] = self._seen_bias[:first]
            self._seen_bias = longer
        self._seen_token[first:last], self._seen_in_text[first:last] = seen.token, seen.prompt_or_answer
        self._seen_count[first:last], self._seen_bias[first:last] = seen.count, seen.bias
        self._seen = last


def _ints(length: int) -> I32:
    return np.zeros(length, np.int32)


def _floats(length: int) -> F32:
    return np.zeros(length, np.float32)


def _grown(array: I32, length: int) -> I32:
    longer = _ints(length)
    longer[: len(array)] = array
    return longer
