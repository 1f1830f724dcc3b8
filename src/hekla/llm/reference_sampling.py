"""How a token is chosen from a row of logits: the definition, in NumPy.

In this order, for one row of logits l:
1. log-probabilities for the client: log softmax of l, before anything else.
2. for each seen token t: if it was in prompt or answer, l[t] becomes l[t] / repetition where l[t] > 0 and
   l[t] * repetition elsewhere (CTRL, arXiv:1909.05858, section 4.1); then l[t] -= count * frequency, less `presence`
   too where count > 0; then l[t] += bias.
3. tokens the mask does not allow get probability 0.
4. temperature 0: the largest l wins, the smaller id of equals. Else p = softmax(l / temperature).
5. tokens in the order of p, likeliest first, the smaller id of equals first. Three cuts of that order, one after the
   other: the first `top_k`; of their renormalised p the shortest start whose sum reaches `top_p`; those with
   p >= `min_p` * the likeliest's. The likeliest token always stays.
6. the first token of that order at which the running sum of renormalised p is greater than `random`.

Numbers are f64 here; an implementation in f32 may choose a neighbour where `random` falls on a border.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import EngineError
from hekla.llm.runner import F32, I32, SamplingRows

F64 = NDArray[np.float64]
TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen for each row; shapes as in `StepResult`."""

    tokens: I32
    logprobs: F32
    top_tokens: I32
    top_logprobs: F32


def choose(logits: F32, rows: SamplingRows) -> Choices:
    """Return a token for each row of logits (r, vocabulary). Errors: EngineError naming a row that is not finite."""
    count = len(logits)
    tokens = np.zeros(count, np.int32)
    logprobs = np.full(count, np.nan, np.float32)
    top_tokens = np.full((count, TOP_LOGPROBS), -1, np.int32)
    top_logprobs = np.full((count, TOP_LOGPROBS), np.nan, np.float32)
    for row in range(count):
        if not np.isfinite(logits[row]).all():
            raise EngineError(f"the logits of row {row} are not finite")
        tokens[row] = choose_row(logits[row], rows, row)
        wanted = int(rows.logprobs[row])
        if wanted >= 0:
            natural = log_softmax(logits[row].astype(np.float64))
            logprobs[row] = natural[tokens[row]]
            best = np.argsort(-natural, kind="stable")[:wanted]
            top_tokens[row, : len(best)] = best
            top_logprobs[row, : len(best)] = natural[best]
    return Choices(tokens, logprobs, top_tokens, top_logprobs)


def choose_row(logits: F32, rows: SamplingRows, row: int) -> int:
    """Return the token of one row. Errors: EngineError when the mask allows no token."""
    values = penalised(logits, rows, row)
    if rows.mask.size and rows.has_mask[row]:
        allowed = np.unpackbits(rows.mask[row].view(np.uint8), bitorder="little")[: len(values)].astype(bool)
        if not allowed.any():
            raise EngineError(f"the mask of row {row} allows no token")
        values[~allowed] = -np.inf
    temperature = float(rows.temperature[row])
    if temperature == 0:
        return int(np.argmax(values))
    probabilities = softmax(values / temperature)
    order = np.argsort(-probabilities, kind="stable")
    order = order[probabilities[order] > 0]
    if rows.top_k[row] > 0:
        order = order[: rows.top_k[row]]
    sums = np.cumsum(probabilities[order])
    order = order[: int(np.searchsorted(sums / sums[-1], float(rows.top_p[row]))) + 1]
    order = order[probabilities[order] >= float(rows.min_p[row]) * probabilities[order[0]]]
    sums = np.cumsum(probabilities[order])
    place = int(np.searchsorted(sums / sums[-1], float(rows.random[row]), side="right"))
    return int(order[min(place, len(order) - 1)])


def penalised(logits: F32, rows: SamplingRows, row: int) -> F64:
    """Return the logits of one row after penalties and biases."""
    values = logits.astype(np.float64)
    for place in range(rows.seen_start[row], rows.seen_start[row + 1]):
        token, count = rows.seen_token[place], int(rows.seen_count[place])
        if rows.seen_prompt_or_answer[place]:
            penalty = float(rows.repetition[row])
            values[token] = values[token] / penalty if values[token] > 0 else values[token] * penalty
        values[token] -= count * float(rows.frequency[row])
        if count > 0:
            values[token] -= float(rows.presence[row])
        values[token] += float(rows.seen_bias[place])
    return values


def softmax(values: F64) -> F64:
    """Return probabilities of one row; -inf gets 0."""
    powers: F64 = np.exp(values - values.max())
    total: float = powers.sum()
    return powers / total


def log_softmax(values: F64) -> F64:
    """Return natural logarithms of probabilities of one row."""
    shifted: F64 = values - values.max()
    total = float(np.exp(shifted).sum())
    return shifted - math.log(total)
