"""From a model's config and plan to the constants and the small tables its step is compiled and run with."""

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.llm.step_shape import StepShape
from hekla.llm.compiled.plan import PackPlan, head_room
from hekla.llm.model_config import ModelConfig, RotaryConfig

LINE = 64  # what rows are rounded up to, and one more, so that rows do not fall on one another in the cache


def step_shape(config: ModelConfig, plan: PackPlan, *, page: int, kv: str, is_exact: bool) -> StepShape:
    """Return the constants of a model's step."""
    room = head_room(config)
    inner = _up(config.feed_forward_width, 16)
    normed = max(config.width, config.feed_forward_width, config.heads * room)
    wide = max((config.heads + 2 * config.kv_heads) * room, 2 * inner)
    return StepShape(
        kinds=plan.kinds,
        is_exact=is_exact,
        width=config.width,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_width=config.head_width,
        head_room=room,
        feed_forward_width=config.feed_forward_width,
        vocabulary_tokens=config.vocabulary_tokens,
        stride=_up(normed, LINE) + LINE,
        wide_stride=_up(wide, LINE) + LINE,
        delta_stride=_up(config.width, LINE),
        logits_stride=_up(config.vocabulary_tokens, 16),
        page=page,
        kv=kv,
        epsilon=config.norm_epsilon,
        query_scale=config.query_scale,
        embedding_scale=config.embedding_scale,
        attention_cap=config.attention_soft_cap,
        final_cap=config.final_soft_cap,
        is_gelu=config.activation == "gelu_tanh",
        has_qkv_bias=config.has_qkv_bias,
        has_qk_norm=config.has_qk_norm,
        has_post_norms=config.has_post_norms,
    )


def layer_tables(config: ModelConfig) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (layers (n, 3) i64 as `step.LAYER_COLUMNS`, frequencies (rotaries, pairs) f64 of one position)."""
    known: dict[RotaryConfig, int] = {}
    rows = [
        (known.setdefault(layer.rotary, len(known)), layer.rotary.dimensions // 2, layer.window_tokens)
        for layer in config.layers
    ]
    pairs = max(rotary.dimensions // 2 for rotary in known)
    frequencies = np.zeros((len(known), pairs))
    for rotary, number in known.items():
        half = rotary.dimensions // 2
        found = rotary.theta ** (-np.arange(half, dtype=np.float64) / half) / rotary.scale
        frequencies[number, :half] = found / np.asarray(rotary.factors, np.float64) if rotary.factors else found
    return np.array(rows, np.int64), frequencies


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
