"""Attention of a few query rows over a paged cache of keys and values.

Shapes:  queries (tokens, query_stride) f32, rotated and scaled; a row is one head of one token. A tile is `tokens_of`
         tokens by the `group` heads that share a head of keys.
         keys: per page and head (page / 16, head_width, 16): 16 positions side by side, so that scores need no sums
         over lanes; values: per page and head (page, head_width). f32, f16, or i8 with an f32 scale a position.
Order:   for each row pages from first to last, whatever the tile: a running maximum, sum and output, corrected once a
         page (online softmax). A page that a row does not see leaves its bits as they are.
Source:  online softmax, arXiv:1805.02867; paged attention, arXiv:2309.06180; FlashAttention, arXiv:2205.14135.
"""

from functools import partial

import numpy as np

from hekla.kernels.sizes import normal
from hekla.kernels.softmax import exp_below
from hekla.lang import (
    Array,
    Const,
    MutView,
    TypeParam,
    Vec,
    View,
    comptime,
    f32,
    fma,
    i32,
    index,
    iota,
    kernel,
    load,
    prefetch,
    reduce_add,
    reduce_max,
    round_even,
    select,
    store,
    unroll,
)
from hekla.lang.math import tanh
from hekla.lang.sweep import Sweep

K = TypeParam("K")
LOWEST = -1e30
FEW = 4  # rows that read pages from far away; more are a prompt's, whose pages are near


@comptime
def vectors_of(rows, page):
    """Return how many vectors of 16 positions are summed at once: enough chains, and no spilled registers."""
    count = page // 16
    while count > 1 and rows * count > 24:
        count //= 2
    return count


@kernel(inline=True)
def page_scores(
    queries: View[f32, 1], first: index, keys: View[K, 1], key_scales: View[f32, 1], base: index, scale_base: index,
    count: index, values: View[K, 1], scores: MutView[f32, 2],
    *, rows: Const, group: Const, stride: Const, head_width: Const, page: Const, cap: Const, is_scaled: Const,
):  # fmt: skip
    """Write the scores of `count` positions of one page, rounded up to whole vectors; fetch its values meanwhile."""
    step: Const = vectors_of(rows, page)
    for g in range(0, (count + 15) // 16, step):
        sums = Array[Vec[f32, 16], rows * step](0.0)
        for d in range(head_width):
            k = Array[Vec[f32, 16], step](0.0)
            for v in unroll(range(step)):
                k[v] = f32(load(keys, base + ((g + v) * head_width + d) * 16, width=16))
                if rows <= FEW:
                    prefetch(values, base + ((g + v) * head_width + d) * 16)
            for r in unroll(range(rows)):
                q = Vec[f32, 16](queries[first + (r // group) * stride + (r % group) * head_width + d])
                for v in unroll(range(step)):
                    sums[r * step + v] = fma(k[v], q, sums[r * step + v])
        for v in unroll(range(step)):
            scale = Vec[f32, 16](1.0)
            if is_scaled:
                scale = load(key_scales, scale_base + (g + v) * 16, width=16)
            for r in unroll(range(rows)):
                s = sums[r * step + v] * scale
                if cap > 0.0:
                    s = tanh(s * (1.0 / cap)) * cap
                store(scores, r, (g + v) * 16, s)


@kernel(inline=True)
def page_weights(
    scores: MutView[f32, 2], value_scales: View[f32, 1], scale_base: index, first_position: index, count: index,
    position: index, last: index, window: index, tops: MutView[f32, 1], factors: MutView[f32, 1],
    totals: MutView[f32, 2], *, rows: Const, group: Const, is_scaled: Const, is_causal: Const,
):  # fmt: skip
    """Turn the scores of a page into weights; row r is of the token at `position` + r // group."""
    whole = (count + 15) // 16
    places = iota(i32, width=16)
    for r in range(rows):
        newest = i32(last - first_position)
        if is_causal:
            newest = i32(position + r // group - first_position)
        oldest = i32(-1)
        if window > 0:
            oldest = newest - i32(window)
        top = Vec[f32, 16](LOWEST)
        for g in range(whole):
            place = places + i32(g * 16)
            on = (place <= newest) & (place > oldest)
            top = max(top, select(on, load(scores, r, g * 16, width=16), LOWEST))
        best = max(tops[r], reduce_max(top))
        factor = exp_below(tops[r] - best)
        total = load(totals, r, 0, width=16) * factor
        for g in range(whole):
            place2 = places + i32(g * 16)
            on2 = (place2 <= newest) & (place2 > oldest)
            weight = select(on2, exp_below(load(scores, r, g * 16, width=16) - best), 0.0)
            total += weight
            if is_scaled:
                weight = weight * load(value_scales, scale_base + g * 16, width=16)
            store(scores, r, g * 16, weight)
        store(totals, r, 0, total)
        tops[r] = best
        factors[r] = factor


@comptime
def lanes_at_once(head_width):
    """Return how many elements of the output are held in registers."""
    return 32 if head_width % 32 == 0 else 16


@kernel(inline=True)
def page_output(
    values: View[K, 1], base: index, count: index, keys: View[K, 1], following: index, scores: View[f32, 2],
    factors: View[f32, 1], output: MutView[f32, 2], *, rows: Const, head_width: Const,
):  # fmt: skip
    """Correct the output by each row's factor and add `count` positions' values times their weights.

    following: where the next page's keys begin, which are fetched meanwhile.
    """
    lanes: Const = lanes_at_once(head_width)
    parts: Const = lanes // 16
    for d in range(0, head_width, lanes):
        sums = Array[Vec[f32, 16], rows * parts](0.0)
        for r in unroll(range(rows)):
            for p in unroll(range(parts)):
                sums[r * parts + p] = load(output, r, d + 16 * p, width=16) * factors[r]
        for j in range(count):
            value = Array[Vec[f32, 16], parts](0.0)
            for p in unroll(range(parts)):
                value[p] = f32(load(values, base + j * head_width + d + 16 * p, width=16))
            if rows <= FEW:
                prefetch(keys, following + j * head_width + d)
            for r in unroll(range(rows)):
                weight = Vec[f32, 16](scores[r, j])
                for p in unroll(range(parts)):
                    sums[r * parts + p] = fma(value[p], weight, sums[r * parts + p])
        for r in unroll(range(rows)):
            for p in unroll(range(parts)):
                store(output, r, d + 16 * p, sums[r * parts + p])


@kernel
def attend(
    queries: View[f32, 1], first: index, keys: View[K, 1], key_scales: View[f32, 1], values: View[K, 1],
    value_scales: View[f32, 1], table: View[i32, 1], layers: index, layer: index, kv_heads: index,
    kv_head: index, position: index, last: index, window: index, out: MutView[f32, 1], out_first: index,
    *, tokens: Const, group: Const, stride: Const, out_stride: Const, head_width: Const, page: Const, cap: Const,
    is_scaled: Const, is_causal: Const,
):  # fmt: skip
    """Attend `tokens` tokens from `position` on, the heads of one head of keys; queries and out from their elements.

    They see positions up to `last`, and where is_causal none after their own.
    A page holds all layers, so that what a short answer takes is one piece of memory. `window` 0: to the start.
    """
    rows: Const = tokens * group
    scores = Array[Array[f32, page], rows](Array[f32, page](0.0))
    output = Array[Array[f32, head_width], rows](Array[f32, head_width](0.0))
    totals = Array[Array[f32, 16], rows](Array[f32, 16](0.0))
    tops = Array[f32, rows](LOWEST)
    factors = Array[f32, rows](0.0)
    begin = 0
    if window > 0:
        begin = max(0, position + 1 - window) // page
    for p in range(begin, last // page + 1):
        base = (index(table[p]) * layers + layer) * kv_heads + kv_head
        count = min(page, last + 1 - p * page)
        after = (index(table[min(p + 1, last // page)]) * layers + layer) * kv_heads + kv_head
        page_scores(
            queries, first, keys, key_scales, base * page * head_width, base * page, count, values, scores.mut(),
            rows=rows, group=group, stride=stride, head_width=head_width, page=page, cap=cap, is_scaled=is_scaled,
        )  # fmt: skip
        page_weights(
            scores.mut(), value_scales, base * page, p * page, count, position, last, window, tops.mut(), factors.mut(),
            totals.mut(), rows=rows, group=group, is_scaled=is_scaled, is_causal=is_causal,
        )  # fmt: skip
        page_output(
            values, base * page * head_width, count, keys, after * page * head_width, scores.view(), factors.view(),
            output.mut(),
            rows=rows, head_width=head_width,
        )  # fmt: skip
    sums = totals.view()
    result = output.view()
    for r in unroll(range(rows)):
        share = 1.0 / reduce_add(load(sums, r, 0, width=16))
        at = out_first + (r // group) * out_stride + (r % group) * head_width
        for d in range(0, head_width, 16):
            store(out, at + d, load(result, r, d, width=16) * share)


@kernel(inline=True)
def stored(x: Vec[f32, 16], scale: f32, *, kind: Const) -> Vec[f32, 16]:
    """Return x as the cache can hold it: within f16's range, or in units of scale, whole."""
    if kind == "int8":
        return round_even(x * scale)
    if kind == "f16":
        return min(65504.0, max(-65504.0, x))
    return x


@kernel(inline=True)
def vector_scale(x: View[f32, 1], at: index, *, head_width: Const) -> f32:
    """Return max |x| / 127 of a head, at least 1e-30 / 127."""
    top = Vec[f32, 16](1e-30)
    for d in range(0, head_width, 16):
        top = max(top, abs(load(x, at + d, width=16)))
    return reduce_max(top) * (1.0 / 127.0)


@kernel(inline=True)
def keep(
    x: View[f32, 1], key_at: index, value_at: index, keys: MutView[K, 1], key_scales: MutView[f32, 1],
    values: MutView[K, 1], value_scales: MutView[f32, 1], base: index, slot: index,
    *, kind: Const, head_width: Const, page: Const,
):  # fmt: skip
    """Write one position's key and value of one head to their page; base: the number of page and head."""
    inverse = f32(1.0)
    value_inverse = f32(1.0)
    if kind == "int8":
        scale = vector_scale(x, key_at, head_width=head_width)
        value_scale = vector_scale(x, value_at, head_width=head_width)
        key_scales[base * page + slot] = scale
        value_scales[base * page + slot] = value_scale
        inverse = 1.0 / scale
        value_inverse = 1.0 / value_scale
    group_at = base * page * head_width + (slot // 16) * (head_width * 16) + slot % 16
    row_at = (base * page + slot) * head_width
    for d in range(0, head_width, 16):
        k = stored(load(x, key_at + d, width=16), inverse, kind=kind)
        for lane in unroll(range(16)):
            keys[group_at + (d + lane) * 16] = K(k[lane])
        store(values, row_at + d, Vec[K, 16](stored(load(x, value_at + d, width=16), value_inverse, kind=kind)))


@kernel
def keep_and_attend(
    rows: MutView[f32, 1], table: View[i32, 1], position: index, window: index, keys: MutView[K, 1],
    key_scales: MutView[f32, 1], values: MutView[K, 1], value_scales: MutView[f32, 1], out: MutView[f32, 1],
    *, tokens: Const, group: Const, kind: Const, cap: Const,
):  # fmt: skip
    """Keep what rows of (group queries, key, value) bring, one head of keys of 32, in pages of 16; attend the last."""
    stride: Const = (group + 2) * 32
    count = position + tokens
    for i in range(count):
        at = i * stride + group * 32
        keep(
            rows, at, at + 32, keys, key_scales, values, value_scales, index(table[i // 16]), i % 16,
            kind=kind, head_width=32, page=16,
        )  # fmt: skip
    attend(
        rows, position * stride, keys, key_scales, values, value_scales, table, 1, 0, 1, 0, position,
        position + tokens - 1, window, out, 0,
        tokens=tokens, group=group, stride=stride, out_stride=group * 32, head_width=32, page=16, cap=cap,
        is_scaled=kind == "int8", is_causal=True,
    )  # fmt: skip


def reference_attention(
    rows, table, position, window, keys, key_scales, values, value_scales, out, *, tokens, group, kind, cap
):  # fmt: skip
    """Say it in NumPy, and write the cache as the kernel does."""
    parts = rows.reshape(-1, group + 2, 32)[: position + tokens]
    kept = []
    for part, cache, scales in ((parts[:, -2], keys, key_scales), (parts[:, -1], values, value_scales)):
        scale = np.ones(len(part), np.float32)
        held = part
        if kind == "int8":
            scale = np.maximum(np.abs(part).max(axis=1), np.float32(1e-30)) * np.float32(1 / 127)
            held = np.rint(part * (np.float32(1) / scale)[:, None])
        held = held.astype(cache.dtype)
        for i, row in enumerate(held):
            page = cache.reshape(-1, 16 * 32)[table[i // 16]]
            where = page.reshape(32, 16)[:, i % 16] if cache is keys else page.reshape(16, 32)[i % 16]
            where[:] = row
            if kind == "int8":
                scales.reshape(-1, 16)[table[i // 16], i % 16] = scale[i]
        kept.append(held.astype(np.float64) * scale[:, None])
    for t in range(tokens):
        end = position + t + 1
        begin = max(0, end - window) if window else 0
        for head in range(group):
            scores = kept[0][begin:end] @ parts[position + t, head]
            if cap:
                scores = cap * np.tanh(scores / cap)
            weights = np.exp(scores - scores.max())
            out.reshape(tokens, group, 32)[t, head] = weights / weights.sum() @ kept[1][begin:end]


def attention_cases(dtype, tokens, group, rng):
    """Contexts within a page, at its ends and over several; pages out of order; with and without a window."""
    made = []
    for position, window in ((0, 0), (14, 0), (16, 3), (40, 0), (40, 20)):
        rows = normal(rng, (position + tokens) * (group + 2) * 32) * np.float32(0.5)
        scales = [np.zeros(5 * 16, np.float32) for _ in range(2)]
        keys, values = (np.zeros(5 * 16 * 32, dtype) for _ in range(2))
        table = np.array([3, 1, 4, 0], np.int32)
        made.append(
            (
                rows,
                table,
                position,
                window,
                keys,
                scales[0],
                values,
                scales[1],
                np.zeros(tokens * group * 32, np.float32),
            )
        )
    return made


def _sweep(kind, dtype, tokens, group, cap=0.0):
    named = {"tokens": tokens, "group": group, "kind": kind, "cap": cap}
    return Sweep(
        keep_and_attend,
        partial(reference_attention, **named),
        partial(attention_cases, dtype, tokens, group),
        2e-4,
        2e-5,
        tuple(named.items()),
        f"attention {kind}, {tokens} tokens of {group} heads",
    )


SWEEPS = (
    _sweep("f32", np.float32, 1, 3),
    _sweep("f16", np.float16, 2, 3, 5.0),
    _sweep("int8", np.int8, 3, 1),
)
