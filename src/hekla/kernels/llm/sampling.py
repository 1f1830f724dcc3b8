"""The token after each row of logits: penalties, mask, temperature, top-k, top-p, min-p, and a given random number.

Shapes:  logits (rows, stride) f32; settings (rows,); the tokens penalties touch, by row, from seen_start; mask
         (rows, words) u32 -> tokens (rows,) i32, logprobs (rows,) f32, top_tokens and top_logprobs (rows, 20),
         status (rows,) i32: 0, or 1 for a row that is not finite, 2 for a mask that allows nothing.
Order:   as hekla.llm.reference_sampling says; the logits are as before when the kernel returns.
Errors:  where the random number falls on a border, rounding decides: masses are sums in f64 of exponentials in f32.
"""

import numpy as np

from hekla.kernels.llm.order_statistics import (
    LOWEST,
    Cut,
    allowed_logits,
    count_above,
    find_cut,
    mass_above,
)
from hekla.kernels.softmax import exp_below
from hekla.lang import (
    Array,
    MutView,
    Vec,
    View,
    any_lane,
    bitcast,
    f32,
    f64,
    i32,
    index,
    iota,
    kernel,
    load,
    parallel,
    reduce_add,
    reduce_max,
    reduce_min,
    select,
    u32,
)
from hekla.lang.math import log
from hekla.lang.sweep import Sweep

LANES = 16
TOP = 20
NOT_FINITE, MASK_ALLOWS_NOTHING = 1, 2  # status of a row; 0: well
NAN = float("nan")
NEAR = 8.0  # e^-8: what lies further below the likeliest is looked at only where it can matter


@kernel(inline=True)
def is_finite_row(logits: View[f32, 1], n: index) -> bool:
    """True where no logit is infinite or NaN."""
    largest = Vec[i32, 16](0)
    for i in range(0, n, LANES):
        largest = max(largest, bitcast(i32, load(logits, i, width=LANES, count=n - i)) & 0x7FFFFFFF)
    return reduce_max(largest) < 0x7F800000


@kernel
def likeliest(logits: View[f32, 1], mask: View[u32, 1], n: index, is_masked: bool) -> i32:
    """Return the largest logit's id, the smallest of equals; -1 where the mask allows nothing."""
    best = Vec[f32, 16](LOWEST)
    at = Vec[i32, 16](-1)
    ids = iota(i32, width=16)
    for i in range(0, n, LANES):
        x = allowed_logits(logits, mask, i, n, is_masked)
        better = x > best
        best = select(better, x, best)
        at = select(better, ids + i32(i), at)
    top = reduce_max(best)
    if top == LOWEST:
        return -1
    return reduce_min(select(best == top, at, Vec[i32, 16](2147483647)))


@kernel
def natural_logarithm_of_sum(logits: View[f32, 1], n: index, best: f32) -> f32:
    """Return log of the sum of exponentials."""
    total = Vec[f64, 16](0.0)
    for i in range(0, n, LANES):
        places = iota(i32, width=16) < i32(min(16, n - i))
        x = load(logits, i, width=LANES, count=n - i)
        total += f64(select(places, exp_below(x - best), 0.0))
    return best + log(f32(reduce_add(total)))


@kernel
def best_tokens(
    logits: View[f32, 1], n: index, wanted: index, total: f32, tokens: MutView[i32, 1], values: MutView[f32, 1]
):
    """Write the `wanted` largest logits, less `total`, and their ids, largest first."""
    kept = Array[f32, TOP](LOWEST)
    ids = Array[i32, TOP](-1)
    for i in range(0, n, LANES):
        places = iota(i32, width=16) < i32(min(16, n - i))
        x = select(places, load(logits, i, width=LANES, count=n - i), LOWEST)
        if wanted > 0 and any_lane(x > kept[wanted - 1]):
            for lane in range(LANES):
                value = x[lane]
                if value > kept[wanted - 1]:
                    place = wanted - 1
                    while place > 0 and kept[max(place - 1, 0)] < value:
                        kept[place] = kept[place - 1]
                        ids[place] = ids[place - 1]
                        place -= 1
                    kept[place] = value
                    ids[place] = i32(i + lane)
    for rank in range(wanted):
        if ids[rank] >= 0:
            tokens[rank] = ids[rank]
            values[rank] = kept[rank] - total


@kernel
def drawn(
    logits: View[f32, 1], mask: View[u32, 1], n: index, best: f32, sharpness: f32, top_k: index, top_p: f32, min_p: f32,
    random: f32, is_masked: bool,
) -> i32:  # fmt: skip
    """Return a token by its probability, after the cuts."""
    cuts = Array[Cut, 1](Cut(0, 2147483647, 0.0))
    near = best - NEAR / sharpness
    least = max(min_p, 0.0)
    whole = mass_above(logits, mask, n, best, sharpness, LOWEST, 0, 2147483647, 0.0, is_masked)
    close = mass_above(logits, mask, n, best, sharpness, near, 0, 2147483647, 0.0, is_masked)
    kept = whole
    if top_k > 0 and top_k < n:
        floor = near
        if count_above(logits, mask, n, near, is_masked) < top_k:
            floor = f32(LOWEST)
        find_cut(
            logits, mask, n, best, sharpness, floor, f64(top_k), cuts.mut(),
            True, False, is_masked,
        )  # fmt: skip
        kept = mass_above(logits, mask, n, best, sharpness, floor, cuts[0].key, cuts[0].token, 0.0, is_masked)
    if top_p < 1.0:
        target = f64(top_p) * kept
        floor2 = near if target < close else f32(LOWEST)
        find_cut(
            logits, mask, n, best, sharpness, floor2, target, cuts.mut(),
            False, False, is_masked,
        )  # fmt: skip
        kept = cuts[0].mass
    if least > 0.0:
        kept = mass_above(
            logits, mask, n, best, sharpness, LOWEST, cuts[0].key, cuts[0].token, min(least, 1.0), is_masked
        )
    target2 = f64(random) * kept
    floor3 = near if target2 < close else f32(LOWEST)
    find_cut(logits, mask, n, best, sharpness, floor3, target2, cuts.mut(), False, True, is_masked)
    return cuts[0].token


@kernel(inline=True)
def chosen_token(
    logits: View[f32, 1], mask: View[u32, 1], n: index, temperature: f32, top_k: index, top_p: f32, min_p: f32,
    random: f32, is_masked: bool,
) -> i32:  # fmt: skip
    """Return the token of one row, -1 where the mask allows nothing."""
    chosen = likeliest(logits, mask, n, is_masked)
    if chosen >= 0 and temperature > 0.0:
        best = logits[index(chosen)]
        chosen = drawn(logits, mask, n, best, 1.0 / temperature, top_k, top_p, min_p, random, is_masked)
    return chosen


@kernel
def choose_rows(
    logits: MutView[f32, 1], rows: index, stride: index, n: index, temperature: View[f32, 1], top_k: View[i32, 1],
    top_p: View[f32, 1], min_p: View[f32, 1], repetition: View[f32, 1], presence: View[f32, 1],
    frequency: View[f32, 1], random: View[f32, 1], seen_start: View[i32, 1], seen_token: View[i32, 1],
    seen_either: View[i32, 1], seen_count: View[i32, 1], seen_bias: View[f32, 1], mask: View[u32, 2],
    has_mask: View[i32, 1], logprobs: View[i32, 1], saved: MutView[f32, 1], tokens: MutView[i32, 1],
    token_logprobs: MutView[f32, 1], top_tokens: MutView[i32, 2], top_logprobs: MutView[f32, 2],
    status: MutView[i32, 1],
):  # fmt: skip
    """Choose a token for each row of logits."""
    for r in parallel(rows, unproved="each iteration writes its own row, and the saved logits of its own seen tokens"):
        row = logits[r * stride : r * stride + n]
        tokens[r] = 0
        token_logprobs[r] = NAN
        for place in range(TOP):
            top_tokens[r, place] = -1
            top_logprobs[r, place] = NAN
        status[r] = 0
        if not is_finite_row(row, n):
            status[r] = NOT_FINITE
        else:
            for place in range(index(seen_start[r]), index(seen_start[r + 1])):
                token = index(seen_token[place])
                value = row[token]
                saved[place] = value
                if seen_either[place] != 0:
                    if value > 0.0:
                        value = value / repetition[r]
                    else:
                        value = value * repetition[r]
                value = value - f32(seen_count[place]) * frequency[r]
                if seen_count[place] > 0:
                    value = value - presence[r]
                row[token] = value + seen_bias[place]
            words = mask[min(r, mask.shape[0] - 1)]
            chosen = chosen_token(
                row, words, n, temperature[r], index(top_k[r]), top_p[r], min_p[r], random[r], has_mask[r] != 0
            )
            for place in range(index(seen_start[r]), index(seen_start[r + 1])):
                row[index(seen_token[place])] = saved[place]
            if chosen < 0:
                status[r] = MASK_ALLOWS_NOTHING
            else:
                tokens[r] = chosen
                if logprobs[r] >= 0:
                    first = index(likeliest(row, words, n, False))
                    total = natural_logarithm_of_sum(row, n, row[first])
                    token_logprobs[r] = row[index(chosen)] - total
                    best_tokens(row, n, min(TOP, n, index(logprobs[r])), total, top_tokens[r], top_logprobs[r])


def reference_choose(
    logits, rows, stride, n, temperature, top_k, top_p, min_p, repetition, presence, frequency, random, seen_start,
    seen_token, seen_either, seen_count, seen_bias, mask, has_mask, logprobs, saved, tokens, token_logprobs, top_tokens,
    top_logprobs, status,
):  # fmt: skip
    """Say it in NumPy; of `saved`, which is the kernel's own, only what it leaves there."""
    token_logprobs[:], top_tokens[:], top_logprobs[:], status[:], tokens[:] = np.nan, -1, np.nan, 0, 0
    for r in range(rows):
        natural = logits.reshape(-1, stride)[r, :n].astype(np.float64)
        if not np.isfinite(natural).all():
            status[r] = NOT_FINITE
            continue
        values = natural.copy()
        for place in range(seen_start[r], seen_start[r + 1]):
            token = seen_token[place]
            saved[place] = natural[token]
            if seen_either[place]:
                values[token] *= 1 / repetition[r] if values[token] > 0 else repetition[r]
            values[token] -= seen_count[place] * frequency[r] + (presence[r] if seen_count[place] else 0)
            values[token] += seen_bias[place]
        if has_mask[r]:
            allowed = np.unpackbits(mask[r].view(np.uint8), bitorder="little")[:n].astype(bool)
            values[~allowed] = -np.inf
        if not (values > -np.inf).any():
            status[r] = MASK_ALLOWS_NOTHING
            continue
        tokens[r] = _drawn_in_numpy(values, temperature[r], top_k[r], top_p[r], min_p[r], random[r])
        if logprobs[r] >= 0:
            natural -= natural.max() + np.log(np.exp(natural - natural.max()).sum())
            best = np.argsort(-natural, kind="stable")[: logprobs[r]]
            token_logprobs[r] = natural[tokens[r]]
            top_tokens[r, : len(best)], top_logprobs[r, : len(best)] = best, natural[best]


def _drawn_in_numpy(values, temperature, top_k, top_p, min_p, random):
    if temperature == 0:
        return int(values.argmax())
    powers = np.exp((values - values.max()) / temperature)
    order = np.argsort(-values, kind="stable")
    order = order[powers[order] > 0][: top_k or None]
    sums = np.cumsum(powers[order])
    order = order[: int(np.searchsorted(sums, top_p * sums[-1])) + 1]
    order = order[powers[order] >= min_p]
    sums = np.cumsum(powers[order])
    return int(order[min(int(np.searchsorted(sums, random * sums[-1], side="right")), len(order) - 1)])


def cases(rng):
    """Rows with all settings at once, equal logits among them; one row that is not finite, one mask of nothing."""
    made = []
    for n in (5, 70):
        rows, stride = 9, n + 3
        logits = np.round(rng.normal(size=(rows, stride)) * 4).astype(np.float32) / 2 + np.float32(0.0)
        logits[0, 0] = np.inf
        counts = rng.integers(0, 4, rows)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        seen = np.concatenate([rng.choice(n, count, replace=False) for count in counts]).astype(np.int32)
        f = [
            rng.choice(v, rows).astype(np.float32)
            for v in ([0, 0.5, 2], [1, 0.9, 0.5], [0, 0.1], [1, 2], [0, 0.5], [0, 0.25])
        ]
        mask = rng.integers(0, 1 << 32, (rows, -(-n // 32)), dtype=np.uint32) | np.uint32(1)
        has = rng.integers(0, 2, rows).astype(np.int32)
        mask[1], has[1] = 0, 1
        tops = [np.zeros((rows, TOP), t) for t in (np.int32, np.float32)]
        made.append(
            (
                logits.reshape(-1), rows, stride, n, f[0], rng.choice([0, 1, 3, 90], rows).astype(np.int32), *f[1:],
                rng.random(rows, np.float32), start, seen, rng.integers(0, 2, len(seen)).astype(np.int32),
                rng.integers(0, 3, len(seen)).astype(np.int32), rng.choice([0, 2], len(seen)).astype(np.float32),
                mask, has, rng.integers(-1, TOP + 1, rows).astype(np.int32), np.zeros(len(seen), np.float32),
                np.zeros(rows, np.int32), np.zeros(rows, np.float32), *tops, np.zeros(rows, np.int32),
            )
        )  # fmt: skip
    return made


SWEEPS = (Sweep(choose_rows, reference_choose, cases, 1e-5, 1e-5),)
