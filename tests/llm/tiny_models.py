"""Models of a few thousand random weights: every family's blocks, small enough for hundreds of tests."""

from dataclasses import replace

import numpy as np

from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig
from hekla.llm.runner import F32, SamplingRows, StepBatch

_ROTARY = RotaryConfig(theta=10000.0, dimensions=8, is_interleaved=False)

LLAMA = ModelConfig(
    family="llama",
    layers=(LayerConfig(replace(_ROTARY, is_interleaved=True)),) * 2,
    width=24,
    heads=4,
    kv_heads=2,
    head_width=8,
    feed_forward_width=40,
    vocabulary_tokens=96,
    context_tokens=128,
    norm_epsilon=1e-5,
    activation="silu",
    query_scale=8**-0.5,
    end_tokens=frozenset({95}),
    begin_token=94,
)
QWEN2 = replace(LLAMA, family="qwen2", layers=(LayerConfig(_ROTARY),) * 2, has_qkv_bias=True, is_head_tied=True)
QWEN3 = replace(QWEN2, family="qwen3", has_qkv_bias=False, has_qk_norm=True)
GEMMA2 = replace(
    QWEN2,
    family="gemma2",
    layers=(LayerConfig(_ROTARY, window_tokens=6), LayerConfig(_ROTARY)),
    has_qkv_bias=False,
    activation="gelu_tanh",
    embedding_scale=24**0.5,
    has_post_norms=True,
    attention_soft_cap=5.0,
    final_soft_cap=3.0,
)
GEMMA3 = replace(
    GEMMA2,
    family="gemma3",
    layers=(
        LayerConfig(_ROTARY, window_tokens=5),
        LayerConfig(replace(_ROTARY, theta=1e6, scale=8.0)),
        LayerConfig(_ROTARY, window_tokens=5),
    ),
    has_qk_norm=True,
    attention_soft_cap=0.0,
    final_soft_cap=0.0,
    is_norm_plus_one=True,
)
FAMILIES = (LLAMA, QWEN2, QWEN3, GEMMA2, GEMMA3)


def tiny_weights(config: ModelConfig, seed: int = 0) -> dict[str, F32]:
    """Return random weights for a config, by the names of `tensors.py`."""
    random = np.random.default_rng(seed)
    norm_base = 0.0 if config.is_norm_plus_one else 1.0

    def matrix(outputs: int, inputs: int) -> F32:
        values: F32 = random.standard_normal((outputs, inputs)).astype(np.float32)
        return values * np.float32(1.5 / inputs**0.5)

    def norm(width: int) -> F32:
        values: F32 = random.standard_normal(width).astype(np.float32)
        return np.float32(norm_base) + np.float32(0.1) * values

    query, shared = config.heads * config.head_width, config.kv_heads * config.head_width
    # an embedding is not scaled down by its width: else all logits of a tied head are alike
    weights = {
        "token_embd.weight": matrix(config.vocabulary_tokens, config.width) * np.float32(2),
        "output_norm.weight": norm(config.width),
    }
    if not config.is_head_tied:
        weights["output.weight"] = matrix(config.vocabulary_tokens, config.width)
    for number in range(len(config.layers)):
        layer = {
            "attn_norm.weight": norm(config.width),
            "attn_q.weight": matrix(query, config.width),
            "attn_k.weight": matrix(shared, config.width),
            "attn_v.weight": matrix(shared, config.width),
            "attn_output.weight": matrix(config.width, query),
            "ffn_norm.weight": norm(config.width),
            "ffn_gate.weight": matrix(config.feed_forward_width, config.width),
            "ffn_up.weight": matrix(config.feed_forward_width, config.width),
            "ffn_down.weight": matrix(config.width, config.feed_forward_width),
        }
        if config.has_qkv_bias:
            layer |= {f"attn_{part}.bias": norm(width) for part, width in (("q", query), ("k", shared), ("v", shared))}
        if config.has_qk_norm:
            layer |= {"attn_q_norm.weight": norm(config.head_width), "attn_k_norm.weight": norm(config.head_width)}
        if config.has_post_norms:
            layer |= {"post_attention_norm.weight": norm(config.width), "post_ffw_norm.weight": norm(config.width)}
        weights |= {f"blk.{number}.{name}": array for name, array in layer.items()}
    return weights


def greedy_rows(rows: int) -> SamplingRows:
    """Return rows that choose the likeliest token."""
    return SamplingRows(
        temperature=np.zeros(rows, np.float32),
        top_k=np.zeros(rows, np.int32),
        top_p=np.ones(rows, np.float32),
        min_p=np.zeros(rows, np.float32),
        repetition=np.ones(rows, np.float32),
        presence=np.zeros(rows, np.float32),
        frequency=np.zeros(rows, np.float32),
        random=np.zeros(rows, np.float32),
        seen_start=np.zeros(rows + 1, np.int32),
        seen_token=np.zeros(0, np.int32),
        seen_prompt_or_answer=np.zeros(0, np.int32),
        seen_count=np.zeros(0, np.int32),
        seen_bias=np.zeros(0, np.float32),
        mask=np.zeros((0, 0), np.uint32),
        has_mask=np.zeros(rows, np.int32),
        logprobs=np.full(rows, -1, np.int32),
    )


def step_batch(sequences: list[tuple[list[int], int, list[int]]], *, every_row: bool = True) -> StepBatch:
    """Return a step of sequences (tokens, first position, pages); logits for every token, or each sequence's last."""
    tokens = [token for chunk, _, _ in sequences for token in chunk]
    starts = np.cumsum([0, *(len(chunk) for chunk, _, _ in sequences)]).astype(np.int32)
    table = np.full((len(sequences), max(len(pages) for _, _, pages in sequences)), -1, np.int32)
    for row, (_, _, pages) in enumerate(sequences):
        table[row, : len(pages)] = pages
    rows = np.arange(len(tokens), dtype=np.int32) if every_row else starts[1:] - np.int32(1)
    return StepBatch(
        tokens=np.array(tokens, np.int32),
        positions=np.array([first + i for chunk, first, _ in sequences for i in range(len(chunk))], np.int32),
        sequence_start=starts,
        page_table=table,
        logits_rows=rows,
        adapter=np.full(len(sequences), -1, np.int32),
        sampling=greedy_rows(len(rows)),
    )
