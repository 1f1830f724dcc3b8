"""What a step does to its rows between matrices, each phase one parallel loop over rows.

Roles are the columns of the table of vectors: where each norm or bias begins among the floats of the weights.
"""

from hekla.kernels.llm.activations_i8 import quantise_row
from hekla.kernels.llm.attention import keep
from hekla.kernels.llm.embedding import packed_row
from hekla.kernels.llm.rows import add_row, gate_row, norm_in_place, norm_row
from hekla.kernels.llm.turn import turn_head, turns_of
from hekla.lang import (
    Const,
    MutView,
    TypeParam,
    View,
    bf16,
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
)

ROLES = ("attn_norm", "attn_q_norm", "attn_k_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "qkv_bias")
ATTN_NORM, Q_NORM, K_NORM, POST_ATTENTION, FFN_NORM, POST_FFW, QKV_BIAS = range(len(ROLES))
K = TypeParam("K")
WHY = "each iteration writes the rows of one token"


@kernel(inline=True)
def to_bytes(
    normed: View[f32, 1], i: index, n: index, codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1],
    half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Quantise row i of the normed rows, where some matrix wants bytes."""
    if shape.has_bytes:
        at = i * shape.stride
        block = i * (shape.stride // 32)
        quantise_row(
            normed[at : at + shape.stride], n, codes[at : at + shape.stride],
            scales[block : block + shape.stride // 32], sums[block : block + shape.stride // 32],
            half_sums[2 * block : 2 * block + shape.stride // 16],
        )  # fmt: skip


@kernel
def embed(
    w: View[u8, 1], h: View[f16, 1], g: View[bf16, 1], f: View[f32, 1], table: View[i64, 2], which: index,
    tokens: View[i32, 1], positions: View[i32, 1], frequencies: View[f64, 2], x: MutView[f32, 1],
    turns: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Write the embeddings of all tokens, and the turns of their positions."""
    for i in parallel(len(tokens), unproved=WHY):
        packed_row(
            w, h, g, f, table, which, index(tokens[i]), f32(shape.embedding_scale),
            x[i * shape.width : (i + 1) * shape.width], kinds=shape.kinds,
        )  # fmt: skip
        turns_of(frequencies, positions[i], turns, i * frequencies.shape[0] * 2 * frequencies.shape[1])


@kernel
def norm_rows(
    f: View[f32, 1], at: index, rows: index, x: View[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1],
    scales: MutView[f32, 1], sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """normed = norm(x), and as bytes."""
    for i in parallel(rows, unproved=WHY):
        row = normed[i * shape.stride : (i + 1) * shape.stride]
        norm_row(x[i * shape.width : (i + 1) * shape.width], shape.width, f, at, shape.epsilon, row)
        to_bytes(normed, i, shape.width, codes, scales, sums, half_sums, shape=shape)


@kernel
def norm_chosen(
    f: View[f32, 1], at: index, chosen: View[i32, 1], x: View[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1],
    scales: MutView[f32, 1], sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """normed[r] = norm(x[chosen[r]]), and as bytes."""
    for r in parallel(len(chosen), unproved=WHY):
        i = index(chosen[r])
        row = normed[r * shape.stride : (r + 1) * shape.stride]
        norm_row(x[i * shape.width : (i + 1) * shape.width], shape.width, f, at, shape.epsilon, row)
        to_bytes(normed, r, shape.width, codes, scales, sums, half_sums, shape=shape)


@kernel
def add_and_norm(
    f: View[f32, 1], post: index, at: index, rows: index, delta: MutView[f32, 1], x: MutView[f32, 1],
    normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1],
    half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """x += post(delta); then, unless `at` is below 0, normed = norm(x), and as bytes."""
    for i in parallel(rows, unproved=WHY):
        more = delta[i * shape.delta_stride : (i + 1) * shape.delta_stride]
        hidden = x[i * shape.width : (i + 1) * shape.width]
        if shape.has_post_norms:
            norm_in_place(more, shape.width, f, post, shape.epsilon)
        add_row(more, shape.width, hidden)
        if at >= 0:
            row = normed[i * shape.stride : (i + 1) * shape.stride]
            norm_row(hidden, shape.width, f, at, shape.epsilon, row)
            to_bytes(normed, i, shape.width, codes, scales, sums, half_sums, shape=shape)


@kernel
def gate_rows(
    rows: index, wide: View[f32, 1], normed: MutView[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1],
    sums: MutView[f32, 1], half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """normed = act(gate) * up, and as bytes."""
    n: Const = shape.feed_forward_width
    for i in parallel(rows, unproved=WHY):
        at = i * shape.wide_stride
        gate_row(
            wide[at : at + n], wide[at + shape.up_column : at + shape.up_column + n], n,
            normed[i * shape.stride : (i + 1) * shape.stride], is_gelu=shape.is_gelu,
        )  # fmt: skip
        to_bytes(normed, i, n, codes, scales, sums, half_sums, shape=shape)


@kernel
def bytes_of_rows(
    rows: index, n: index, normed: View[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1],
    half_sums: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Quantise rows that are there already."""
    if shape.has_bytes:
        for i in parallel(rows, unproved=WHY):
            to_bytes(normed, i, n, codes, scales, sums, half_sums, shape=shape)


@kernel
def keep_rows(
    f: View[f32, 1], vectors: View[i64, 2], layer: index, pairs: index, turns: View[f32, 1], turn_at: index,
    turn_stride: index, turn_half: index, positions: View[i32, 1], owners: View[i32, 1], page_table: View[i32, 2],
    layers: index, wide: MutView[f32, 1], keys: MutView[K, 1], key_scales: MutView[f32, 1], values: MutView[K, 1],
    value_scales: MutView[f32, 1], *, shape: Const,
):  # fmt: skip
    """Bias, norm and turn queries and keys of every token, and write keys and values to their pages.

    Turns of token i begin at turn_at + i * turn_stride, sines turn_half after cosines; owners: each token's sequence.
    """
    room: Const = shape.head_room
    for i in parallel(len(positions), unproved="each token writes its own row, and its own place of a page"):
        row = wide[i * shape.wide_stride : (i + 1) * shape.wide_stride]
        if shape.has_qkv_bias:
            bias = index(vectors[layer, QKV_BIAS])
            for c in range(0, shape.query_room + 2 * shape.key_room, 16):
                store(row, c, load(row, c, width=16) + load(f, bias + c, width=16))
        turn = turn_at + i * turn_stride
        for head in range(shape.heads):
            if shape.has_qk_norm:
                norm_in_place(
                    row[head * room : (head + 1) * room],
                    shape.head_width,
                    f,
                    index(vectors[layer, Q_NORM]),
                    shape.epsilon,
                )
            turn_head(row, head * room, turns, turn, pairs, turn_half)
            for d in range(0, room, 16):
                store(row, head * room + d, load(row, head * room + d, width=16) * shape.query_scale)
        position = index(positions[i])
        page = index(page_table[index(owners[i]), position // shape.page])
        for head in range(shape.kv_heads):
            at = shape.query_room + head * room
            if shape.has_qk_norm:
                norm_in_place(row[at : at + room], shape.head_width, f, index(vectors[layer, K_NORM]), shape.epsilon)
            turn_head(row, at, turns, turn, pairs, turn_half)
            keep(
                row, at, at + shape.key_room, keys, key_scales, values, value_scales,
                (page * layers + layer) * shape.kv_heads + head, position % shape.page,
                kind=shape.kv, head_width=room, page=shape.page,
            )  # fmt: skip
