"""One step of a decoder: all layers, the head and the choice of tokens, in one call.

Everything is in memory the caller made; nothing is allocated. Matrices of layer i are the rows MATRICES * i + ...
of the table, in the order of MATRIX_NAMES; then the head, then the embedding (`matrices.py` has the columns).
Vectors: rows per layer (`row_phases.ROLES`); the last row's first column is the output norm.
Order:   a token's arithmetic does not depend on what else is in the step.
"""

from hekla.kernels.llm.attention import attend
from hekla.kernels.llm.lora import add_adapters
from hekla.kernels.llm.matrices import matrices
from hekla.kernels.llm.row_phases import (
    ATTN_NORM,
    FFN_NORM,
    POST_ATTENTION,
    POST_FFW,
    add_and_norm,
    bytes_of_rows,
    embed,
    gate_rows,
    keep_rows,
    norm_chosen,
    norm_rows,
)
from hekla.kernels.llm.sampling import choose_rows
from hekla.lang import (
    Const,
    MutView,
    TypeParam,
    View,
    bf16,
    comptime,
    cycles,
    f16,
    f32,
    f64,
    i8,
    i32,
    i64,
    index,
    kernel,
    load,
    parallel,
    store,
    u8,
    u32,
    u64,
    unroll,
)
from hekla.lang.math import tanh

MATRIX_NAMES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
MATRICES = len(MATRIX_NAMES)
LAYER_COLUMNS = ("rotary", "pairs", "window")
FEW_TASKS = 4
K = TypeParam("K")


@kernel
def attention_tiles(starts: View[i32, 1], tiles: MutView[i32, 2], owners: MutView[i32, 1], *, tokens: Const) -> index:
    """Cut every sequence into tiles of tokens: (sequence, first token, tokens); and note each token's sequence."""
    count = 0
    for s in range(len(starts) - 1):
        at = index(starts[s])
        end = index(starts[s + 1])
        for i in range(at, end):
            owners[i] = i32(s)
        while at < end:
            size = 1
            if end - at >= tokens:
                size = tokens
            tiles[count, 0] = i32(s)
            tiles[count, 1] = i32(at)
            tiles[count, 2] = i32(size)
            count += 1
            at += size
    return count


@kernel
def attention(
    tiles: View[i32, 2], count: index, positions: View[i32, 1], page_table: View[i32, 2], layers: index, layer: index,
    window: index, wide: View[f32, 1], keys: View[K, 1], key_scales: View[f32, 1], values: View[K, 1],
    value_scales: View[f32, 1], out: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Attend all tiles, the last first: they are the longest."""
    half: Const = max(1, shape.group // 2)
    parts = 1
    if shape.group % 2 == 0 and count == len(positions) and count * shape.kv_heads <= FEW_TASKS:
        parts = 2  # a few single tokens: half of the heads each, or a thread would have nothing to do
    for task in parallel(count * shape.kv_heads * parts, unproved="each writes its own tokens' own heads"):
        part = task % parts
        head = task // parts // count
        tile = count - 1 - task // parts % count
        first = index(tiles[tile, 1])
        column = (head * shape.group + part * half) * shape.head_room
        position = index(positions[first])
        row = page_table[index(tiles[tile, 0])]
        if parts == 2:
            attend(
                wide, first * shape.wide_stride + column, keys, key_scales, values, value_scales, row, layers, layer,
                shape.kv_heads, head, position, position, window, out, first * shape.stride + column,
                tokens=1, group=half, stride=shape.wide_stride, out_stride=shape.stride, head_width=shape.head_room,
                page=shape.page, cap=shape.attention_cap, is_scaled=shape.kv == "int8", is_causal=True,
            )  # fmt: skip
        else:
            for tokens in unroll(token_counts(shape)):
                if index(tiles[tile, 2]) == tokens:
                    attend(
                        wide, first * shape.wide_stride + column, keys, key_scales, values, value_scales, row,
                        layers, layer, shape.kv_heads, head, position, position + tokens - 1, window,
                        out, first * shape.stride + column,
                        tokens=tokens, group=shape.group, stride=shape.wide_stride, out_stride=shape.stride,
                        head_width=shape.head_room, page=shape.page, cap=shape.attention_cap,
                        is_scaled=shape.kv == "int8", is_causal=True,
                    )  # fmt: skip


@comptime
def token_counts(shape):
    """Return the heights of tiles."""
    return (shape.tile_tokens, 1) if shape.tile_tokens > 1 else (1,)


@kernel
def cap_logits(logits: MutView[f32, 1], rows: index, *, shape: Const):
    """logits = cap * tanh(logits / cap)."""
    strip: Const = 1024
    strips = (shape.logits_stride + strip - 1) // strip
    for task in parallel(rows * strips, unproved="each writes its own part of a row"):
        at = (task // strips) * shape.logits_stride + (task % strips) * strip
        count = min(strip, shape.logits_stride - (task % strips) * strip)
        for i in range(0, count, 16):
            v = load(logits, at + i, width=16, count=count - i)
            store(logits, at + i, tanh(v * (1.0 / shape.final_cap)) * shape.final_cap, count=count - i)


@kernel
def forward(
    tokens: View[i32, 1], positions: View[i32, 1], starts: View[i32, 1], page_table: View[i32, 2],
    logits_rows: View[i32, 1], adapter: View[i32, 1],
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], vectors: View[i64, 2],
    layers: View[i64, 2], frequencies: View[f64, 2], lora: View[f32, 1], lora_table: View[i64, 3],
    keys: MutView[K, 1], key_scales: MutView[f32, 1], values: MutView[K, 1], value_scales: MutView[f32, 1],
    x: MutView[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1],
    sums: MutView[f32, 1], half_sums: MutView[f32, 1], wide: MutView[f32, 1], delta: MutView[f32, 1],
    turns: MutView[f32, 1], tiles: MutView[i32, 2], owners: MutView[i32, 1], logits: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Run all layers and the head."""
    rows = len(tokens)
    count = len(layers)
    configurations = frequencies.shape[0]
    half = frequencies.shape[1]
    tile_count = attention_tiles(starts, tiles, owners, tokens=shape.tile_tokens)
    kinds: Const = shape.kinds
    stride: Const = shape.stride
    exact: Const = shape.is_exact
    embed(w, h, g, f, table, count * MATRICES + 1, tokens, positions, frequencies, x, turns, shape=shape)
    norm_rows(f, index(vectors[0, ATTN_NORM]), rows, x, normed, codes, scales, sums, half_sums, shape=shape)
    for layer in range(count):
        first = layer * MATRICES
        matrices(
            w, h, g, f, table, first, 3, normed, codes, scales, sums, half_sums, wide, rows, shape.wide_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_adapters(
            table, first, 3, adapter, owners, lora, lora_table, normed, wide, rows, shape.wide_stride, stride=stride
        )
        keep_rows(
            f, vectors, layer, index(layers[layer, 1]), turns, index(layers[layer, 0]) * 2 * half,
            configurations * 2 * half, half, positions, owners, page_table, count, wide,
            keys, key_scales, values, value_scales, shape=shape,
        )  # fmt: skip
        attention(
            tiles, tile_count, positions, page_table, count, layer, index(layers[layer, 2]), wide,
            keys, key_scales, values, value_scales, normed, shape=shape,
        )  # fmt: skip
        bytes_of_rows(rows, shape.query_room, normed, codes, scales, sums, half_sums, shape=shape)
        matrices(
            w, h, g, f, table, first + 3, 1, normed, codes, scales, sums, half_sums, delta, rows, shape.delta_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_adapters(
            table,
            first + 3,
            1,
            adapter,
            owners,
            lora,
            lora_table,
            normed,
            delta,
            rows,
            shape.delta_stride,
            stride=stride,
        )
        add_and_norm(
            f, index(vectors[layer, POST_ATTENTION]), index(vectors[layer, FFN_NORM]), rows, delta, x, normed,
            codes, scales, sums, half_sums, shape=shape,
        )  # fmt: skip
        matrices(
            w, h, g, f, table, first + 4, 2, normed, codes, scales, sums, half_sums, wide, rows, shape.wide_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_adapters(
            table, first + 4, 2, adapter, owners, lora, lora_table, normed, wide, rows, shape.wide_stride, stride=stride
        )
        gate_rows(rows, wide, normed, codes, scales, sums, half_sums, shape=shape)
        matrices(
            w, h, g, f, table, first + 6, 1, normed, codes, scales, sums, half_sums, delta, rows, shape.delta_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_adapters(
            table,
            first + 6,
            1,
            adapter,
            owners,
            lora,
            lora_table,
            normed,
            delta,
            rows,
            shape.delta_stride,
            stride=stride,
        )
        following = index(-1)
        if layer + 1 < count:
            following = index(vectors[layer + 1, ATTN_NORM])
        add_and_norm(
            f,
            index(vectors[layer, POST_FFW]),
            following,
            rows,
            delta,
            x,
            normed,
            codes,
            scales,
            sums,
            half_sums,
            shape=shape,
        )
    if len(logits_rows) > 0:
        output_norm = index(vectors[count, ATTN_NORM])
        norm_chosen(f, output_norm, logits_rows, x, normed, codes, scales, sums, half_sums, shape=shape)
        matrices(
            w, h, g, f, table, count * MATRICES, 1, normed, codes, scales, sums, half_sums,
            logits, len(logits_rows), shape.logits_stride, kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        if shape.final_cap > 0.0:
            cap_logits(logits, len(logits_rows), shape=shape)


BATCH_FAULTS = (
    "nothing",
    "a token is not of the vocabulary",
    "a position has no page",
    "a page is not one of the runner's",
    "a row of logits is not one of the tokens",
    "an adapter's slot is empty",
    "sequences do not cover the tokens",
)


@kernel
def sequence_fault(
    tokens: View[i32, 1], positions: View[i32, 1], row: View[i32, 1], pages: index, *, page: Const, vocabulary: Const
) -> i32:
    """Return what is wrong with one sequence; row: its pages."""
    last = index(-1)
    for i in range(len(tokens)):
        if tokens[i] < 0 or tokens[i] >= vocabulary:
            return 1
        if positions[i] < 0 or (i > 0 and index(positions[i]) != last + 1):
            return 2
        last = index(positions[i])
    if last >= len(row) * page:
        return 2
    for p in range(last // page + 1):
        if row[p] < 0 or index(row[p]) >= pages:
            return 3
    return 0


@kernel
def batch_fault(
    tokens: View[i32, 1], positions: View[i32, 1], starts: View[i32, 1], page_table: View[i32, 2],
    logits_rows: View[i32, 1], adapter: View[i32, 1], pages: index, slots: index, *, page: Const, vocabulary: Const,
) -> i32:  # fmt: skip
    """Return what is wrong with a batch: nothing of it may lead outside of the runner's memory."""
    end = index(0)
    for s in range(len(starts) - 1):
        if index(starts[s]) != end or starts[s + 1] < starts[s] or index(starts[s + 1]) > len(tokens):
            return 6
        first = end
        end = index(starts[s + 1])
        if index(adapter[s]) >= slots:
            return 5
        fault = sequence_fault(
            tokens[first:end], positions[first:end], page_table[s], pages, page=page, vocabulary=vocabulary
        )
        if fault != 0:
            return fault
    if end != len(tokens):
        return 6
    for r in range(len(logits_rows)):
        if logits_rows[r] < 0 or index(logits_rows[r]) >= len(tokens):
            return 4
    return 0


@kernel
def step(
    tokens: View[i32, 1], positions: View[i32, 1], starts: View[i32, 1], page_table: View[i32, 2],
    logits_rows: View[i32, 1], adapter: View[i32, 1],
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], vectors: View[i64, 2],
    layers: View[i64, 2], frequencies: View[f64, 2], lora: View[f32, 1], lora_table: View[i64, 3],
    keys: MutView[K, 1], key_scales: MutView[f32, 1], values: MutView[K, 1], value_scales: MutView[f32, 1],
    pages: index, x: MutView[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1],
    sums: MutView[f32, 1], half_sums: MutView[f32, 1], wide: MutView[f32, 1], delta: MutView[f32, 1],
    turns: MutView[f32, 1],
    tiles: MutView[i32, 2], owners: MutView[i32, 1], logits: MutView[f32, 1],
    temperature: View[f32, 1], top_k: View[i32, 1], top_p: View[f32, 1], min_p: View[f32, 1], repetition: View[f32, 1],
    presence: View[f32, 1], frequency: View[f32, 1], random: View[f32, 1], seen_start: View[i32, 1],
    seen_token: View[i32, 1], seen_either: View[i32, 1], seen_count: View[i32, 1], seen_bias: View[f32, 1],
    mask: View[u32, 2], has_mask: View[i32, 1], logprobs: View[i32, 1], saved: MutView[f32, 1],
    chosen: MutView[i32, 1], chosen_logprobs: MutView[f32, 1], top_tokens: MutView[i32, 2],
    top_logprobs: MutView[f32, 2], status: MutView[i32, 1], clock: MutView[u64, 1], *, shape: Const,
) -> i32:  # fmt: skip
    """Run the model on some tokens and choose what follows; clock: ticks of the forward pass, ticks of choosing.

    Returns 0, or the number in BATCH_FAULTS of what is wrong with the batch, and then does nothing.
    """
    fault = batch_fault(
        tokens, positions, starts, page_table, logits_rows, adapter, pages, len(lora_table),
        page=shape.page, vocabulary=shape.vocabulary_tokens,
    )  # fmt: skip
    if fault != 0:
        return fault
    began = cycles()
    forward(
        tokens, positions, starts, page_table, logits_rows, adapter, w, h, g, f, table, vectors, layers, frequencies,
        lora, lora_table, keys, key_scales, values, value_scales, x, normed, codes, scales, sums, half_sums,
        wide, delta, turns, tiles, owners, logits, shape=shape,
    )  # fmt: skip
    computed = cycles()
    choose_rows(
        logits, len(logits_rows), shape.logits_stride, shape.vocabulary_tokens, temperature, top_k, top_p, min_p,
        repetition, presence, frequency, random, seen_start, seen_token, seen_either, seen_count, seen_bias, mask,
        has_mask, logprobs, saved, chosen, chosen_logprobs, top_tokens, top_logprobs, status,
    )  # fmt: skip
    clock[0] = computed - began
    clock[1] = cycles() - computed
    return 0
