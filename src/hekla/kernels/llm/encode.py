"""Sentences to vectors: a BERT encoder, all layers and the pooling in one call.

Shapes:  tokens (t,) of sentences side by side, starts (s + 1,) -> vectors (s, width) f32.
         Matrices of layer i are the rows 6 * i + ... of the table: queries, keys, values, output, up, down; the last
         row is the embedding. Vectors: VECTORS per layer; the last row is ENDS.
Order:   a sentence's arithmetic does not depend on what else is in the call.
Source:  BERT, arXiv:1810.04805; layer norm, arXiv:1607.06450; pooling, Sentence-BERT, arXiv:1908.10084.
"""

from hekla.kernels.activations import gelu_of, relu_of
from hekla.kernels.llm.attention import attend, keep
from hekla.kernels.llm.embedding import packed_row
from hekla.kernels.llm.matrices import matrices
from hekla.kernels.llm.row_phases import bytes_of_rows, to_bytes
from hekla.kernels.llm.step import attention_tiles
from hekla.lang import (
    Const,
    MutView,
    Vec,
    View,
    bf16,
    f16,
    f32,
    fma,
    i8,
    i32,
    i64,
    index,
    kernel,
    load,
    parallel,
    reduce_add,
    sqrt,
    store,
    u8,
    unroll,
)

ENCODER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")
VECTORS = (
    "qkv_bias", "attn_output_bias", "attn_output_norm", "attn_output_norm_bias", "ffn_up_bias", "ffn_down_bias",
    "layer_output_norm", "layer_output_norm_bias",
)  # fmt: skip
QKV_BIAS, OUTPUT_BIAS, NORM, NORM_BIAS, UP_BIAS, DOWN_BIAS, LAST_NORM, LAST_NORM_BIAS = range(len(VECTORS))
ENDS = ("token_embd_norm", "token_embd_norm_bias", "position_embd", "token_types")
END_NORM, END_NORM_BIAS, POSITIONS, TYPES = range(len(ENDS))
TILE = 8  # tokens that attend together
WHY = "each iteration writes the rows of one token"


@kernel(inline=True)
def layer_norm_in_place(x: MutView[f32, 1], n: index, f: View[f32, 1], weight: index, bias: index, epsilon: f32):
    """x = (x - mean) / sqrt(variance + epsilon) * weight + bias."""
    total = Vec[f32, 16](0.0)
    for i in range(0, n, 16):
        total += load(x, i, width=16, count=n - i)
    mean = reduce_add(total) / f32(n)
    squares = Vec[f32, 16](0.0)
    for i in range(0, n, 16):
        off = load(x, i, width=16, count=n - i) - mean
        store(x, i, off, count=n - i)
        kept = load(x, i, width=16, count=n - i)  # past the end 0, which off is not
        squares = fma(kept, kept, squares)
    factor = 1.0 / sqrt(reduce_add(squares) / f32(n) + epsilon)
    for i in range(0, n, 16):
        scaled = load(x, i, width=16, count=n - i) * factor
        w = load(f, weight + i, width=16, count=n - i)
        store(x, i, fma(scaled, w, load(f, bias + i, width=16, count=n - i)), count=n - i)


@kernel(inline=True)
def hand_over(
    x: View[f32, 1], i: index, normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1],
    sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Copy a row to where matrices read it, as bytes too."""
    for c in range(0, shape.width, 16):
        left = shape.width - c
        store(normed, i * shape.stride + c, load(x, i * shape.width + c, width=16, count=left), count=left)
    to_bytes(normed, i, shape.width, codes, scales, sums, half_sums, shape=shape)


@kernel
def embed_sentences(
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], vectors: View[i64, 2],
    tokens: View[i32, 1], places: View[i32, 1], x: MutView[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1],
    scales: MutView[f32, 1], sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """x = norm(token + position + type 0)."""
    last = len(vectors) - 1
    for i in parallel(len(tokens), unproved=WHY):
        row = x[i * shape.width : (i + 1) * shape.width]
        packed_row(w, h, g, f, table, len(table) - 1, index(tokens[i]), 1.0, row, kinds=shape.kinds)
        position = index(vectors[last, POSITIONS]) + index(places[i]) * shape.width
        kind = index(vectors[last, TYPES])
        for c in range(0, shape.width, 16):
            left = shape.width - c
            added = load(f, position + c, width=16, count=left) + load(f, kind + c, width=16, count=left)
            store(row, c, load(row, c, width=16, count=left) + added, count=left)
        layer_norm_in_place(
            row, shape.width, f, index(vectors[last, END_NORM]), index(vectors[last, END_NORM_BIAS]), shape.epsilon
        )
        hand_over(x, i, normed, codes, scales, sums, half_sums, shape=shape)


@kernel
def keep_sentences(
    f: View[f32, 1], bias: index, owners: View[i32, 1], places: View[i32, 1], page_table: View[i32, 2],
    wide: MutView[f32, 1], keys: MutView[f32, 1], values: MutView[f32, 1], none: MutView[f32, 1],
    none_too: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Add biases, scale queries, and write keys and values to their pages."""
    for i in parallel(len(owners), unproved=WHY):
        row = wide[i * shape.wide_stride : (i + 1) * shape.wide_stride]
        for c in range(0, 3 * shape.room, 16):
            v = load(row, c, width=16) + load(f, bias + c, width=16)
            store(row, c, v * shape.query_scale if c < shape.room else v)
        place = index(places[i])
        page = index(page_table[index(owners[i]), place // shape.page])
        for head in range(shape.heads):
            at = shape.room + head * shape.head_room
            keep(
                row, at, at + shape.room, keys, none, values, none_too, page * shape.heads + head, place % shape.page,
                kind="f32", head_width=shape.head_room, page=shape.page,
            )  # fmt: skip


@kernel
def attend_sentences(
    tiles: View[i32, 2], count: index, starts: View[i32, 1], page_table: View[i32, 2], wide: View[f32, 1],
    keys: View[f32, 1], values: View[f32, 1], none: View[f32, 1], out: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Attend all tiles; every token sees its whole sentence."""
    for task in parallel(count * shape.heads, unproved="each writes its own tokens' own heads"):
        head = task // count
        tile = task % count
        sentence = index(tiles[tile, 0])
        first = index(tiles[tile, 1])
        begin = index(starts[sentence])
        column = head * shape.head_room
        for tokens in unroll((TILE, 1)):
            if index(tiles[tile, 2]) == tokens:
                attend(
                    wide, first * shape.wide_stride + column, keys, none, values, none, page_table[sentence], 1, 0,
                    shape.heads, head, first - begin, index(starts[sentence + 1]) - begin - 1, 0,
                    out, first * shape.stride + column,
                    tokens=tokens, group=1, stride=shape.wide_stride, out_stride=shape.stride,
                    head_width=shape.head_room, page=shape.page, cap=0.0, is_scaled=False, is_causal=False,
                )  # fmt: skip


@kernel
def add_biased(
    f: View[f32, 1], bias: index, weight: index, norm_bias: index, rows: index, delta: View[f32, 1], x: MutView[f32, 1],
    normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1],
    half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """x = norm(x + delta + bias)."""
    for i in parallel(rows, unproved=WHY):
        row = x[i * shape.width : (i + 1) * shape.width]
        for c in range(0, shape.width, 16):
            left = shape.width - c
            more = load(delta, i * shape.delta_stride + c, width=16, count=left)
            more += load(f, bias + c, width=16, count=left)
            store(row, c, load(row, c, width=16, count=left) + more, count=left)
        layer_norm_in_place(row, shape.width, f, weight, norm_bias, shape.epsilon)
        hand_over(x, i, normed, codes, scales, sums, half_sums, shape=shape)


@kernel
def activate_biased(
    f: View[f32, 1], bias: index, rows: index, wide: View[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1],
    scales: MutView[f32, 1], sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """normed = act(wide + bias)."""
    n: Const = shape.feed_forward_width
    for i in parallel(rows, unproved=WHY):
        for c in range(0, n, 32):
            v = load(wide, i * shape.wide_stride + c, width=32, count=n - c) + load(f, bias + c, width=32, count=n - c)
            if shape.is_relu:
                store(normed, i * shape.stride + c, relu_of(v), count=n - c)
            else:
                store(normed, i * shape.stride + c, gelu_of(v), count=n - c)
        to_bytes(normed, i, n, codes, scales, sums, half_sums, shape=shape)


@kernel
def pool_sentences(starts: View[i32, 1], x: View[f32, 1], out: MutView[f32, 2], *, shape: Const):
    """Write each sentence's vector: the mean of its tokens or its first, of length 1 where asked for."""
    for s in parallel(len(starts) - 1, unproved="each iteration writes its own row"):
        begin = index(starts[s])
        end = index(starts[s + 1])
        if shape.is_first_token:
            end = begin + 1
        squares = Vec[f32, 16](0.0)
        for c in range(0, shape.width, 16):
            left = shape.width - c
            total = Vec[f32, 16](0.0)
            for i in range(begin, end):
                total += load(x, i * shape.width + c, width=16, count=left)
            total = total / f32(end - begin)
            squares = fma(total, total, squares)
            store(out, s, c, total, count=left)
        if shape.is_normalised:
            factor = 1.0 / max(sqrt(reduce_add(squares)), 1e-12)
            for c in range(0, shape.width, 16):
                left = shape.width - c
                store(out, s, c, load(out, s, c, width=16, count=left) * factor, count=left)


@kernel
def encode(
    tokens: View[i32, 1], places: View[i32, 1], starts: View[i32, 1], page_table: View[i32, 2],
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], vectors: View[i64, 2],
    keys: MutView[f32, 1], values: MutView[f32, 1], none: MutView[f32, 1], none_too: MutView[f32, 1],
    x: MutView[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1],
    half_sums: MutView[f32, 1], wide: MutView[f32, 1], delta: MutView[f32, 1], tiles: MutView[i32, 2],
    owners: MutView[i32, 1], out: MutView[f32, 2], *, shape: Const,
):  # fmt: skip
    """Encode sentences; places: each token's place in its sentence; page_table: a page for each `page` places."""
    rows = len(tokens)
    count = attention_tiles(starts, tiles, owners, tokens=TILE)
    kinds: Const = shape.kinds
    stride: Const = shape.stride
    exact: Const = shape.is_exact
    embed_sentences(w, h, g, f, table, vectors, tokens, places, x, normed, codes, scales, sums, half_sums, shape=shape)
    for layer in range(len(vectors) - 1):
        first = layer * len(ENCODER_MATRICES)
        matrices(
            w, h, g, f, table, first, 3, normed, codes, scales, sums, half_sums, wide, rows, shape.wide_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        keep_sentences(
            f, index(vectors[layer, QKV_BIAS]), owners[0:rows], places, page_table, wide, keys, values, none, none_too,
            shape=shape,
        )  # fmt: skip
        attend_sentences(tiles, count, starts, page_table, wide, keys, values, none, normed, shape=shape)
        bytes_of_rows(rows, shape.room, normed, codes, scales, sums, half_sums, shape=shape)
        matrices(
            w, h, g, f, table, first + 3, 1, normed, codes, scales, sums, half_sums, delta, rows, shape.delta_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_biased(
            f, index(vectors[layer, OUTPUT_BIAS]), index(vectors[layer, NORM]), index(vectors[layer, NORM_BIAS]), rows,
            delta, x, normed, codes, scales, sums, half_sums, shape=shape,
        )  # fmt: skip
        matrices(
            w, h, g, f, table, first + 4, 1, normed, codes, scales, sums, half_sums, wide, rows, shape.wide_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        activate_biased(
            f, index(vectors[layer, UP_BIAS]), rows, wide, normed, codes, scales, sums, half_sums, shape=shape
        )
        matrices(
            w, h, g, f, table, first + 5, 1, normed, codes, scales, sums, half_sums, delta, rows, shape.delta_stride,
            kinds=kinds, stride=stride, exact=exact,
        )  # fmt: skip
        add_biased(
            f, index(vectors[layer, DOWN_BIAS]), index(vectors[layer, LAST_NORM]),
            index(vectors[layer, LAST_NORM_BIAS]), rows, delta, x, normed, codes, scales, sums, half_sums, shape=shape,
        )  # fmt: skip
    pool_sentences(starts, x, out, shape=shape)
