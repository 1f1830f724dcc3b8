"""The plan of a BERT encoder's packed memory, and the constants it is compiled with."""

from collections.abc import Mapping

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.kernels.llm.encode import ENCODER_MATRICES, ENDS, VECTORS
from hekla.kernels.llm.encoder_shape import EncoderShape
from hekla.kernels.llm.panels import BLOCK, KINDS, LANES, NUMBERS
from hekla.llm.compiled.plan import PackPlan, PlanWriter, padded
from hekla.llm.families.bert import BertConfig
from hekla.llm.tensors import StoredTensor

PAGE = 64


def encoder_plan(config: BertConfig, tensors: Mapping[str, StoredTensor], *, is_exact: bool) -> PackPlan:
    """Return the plan; unless it is exact, matrices of whole blocks become Q8_0.

    Errors: ModelFileError naming a tensor that is missing; UnsupportedError for heads that are no whole vectors.
    """
    if config.head_width % LANES:
        raise UnsupportedError(f"heads of width {config.head_width}", cure=f"a multiple of {LANES}")
    writer = PlanWriter(tensors)
    bytes_kind = KINDS[NUMBERS["Q8_0"]]
    for layer in range(config.layers):
        for name in ENCODER_MATRICES:
            full = f"blk.{layer}.{name}.weight"
            outputs, inputs = writer.tensor(full).shape
            column = {"attn_k": 1, "attn_v": 2}.get(name, 0) * config.width
            kind = None if is_exact or inputs % BLOCK else bytes_kind
            writer.matrix(full, column, padded(outputs), kind=kind)
    writer.matrix("token_embd.weight", 0, padded(config.vocabulary_tokens), kind=None)
    table = np.zeros((config.layers + 1, len(VECTORS)), np.int64)
    for layer in range(config.layers):
        for column, name in enumerate(VECTORS):
            parts = ("attn_q", "attn_k", "attn_v") if name == "qkv_bias" else (name.removesuffix("_bias"),)
            end = "bias" if name.endswith("_bias") else "weight"
            named = [f"blk.{layer}.{part}.{end}" for part in parts]
            table[layer, column] = writer.side_by_side([(n, np.arange(writer.tensor(n).shape[0])) for n in named])
    for column, name in enumerate(ENDS):
        full = f"{name.removesuffix('_bias')}.{'bias' if name.endswith('_bias') else 'weight'}"
        table[-1, column] = writer.vector(full, np.arange(np.prod(writer.tensor(full).shape)))
    return writer.plan(range(len(writer.matrices)), table)


def encoder_shape(config: BertConfig, plan: PackPlan, *, is_exact: bool) -> EncoderShape:
    """Return the constants."""
    inner = -(-config.feed_forward_width // LANES) * LANES
    widest = -(-max(config.width, config.feed_forward_width) // 64) * 64
    return EncoderShape(
        kinds=plan.kinds,
        is_exact=is_exact,
        width=config.width,
        heads=config.heads,
        head_room=config.head_width,
        feed_forward_width=config.feed_forward_width,
        stride=widest + 64,
        wide_stride=-(-max(3 * config.width, inner) // 64) * 64 + 64,
        delta_stride=-(-config.width // 64) * 64,
        page=PAGE,
        epsilon=config.norm_epsilon,
        query_scale=config.head_width**-0.5,
        is_relu=config.activation == "relu",
        is_first_token=config.pooling == "first",
        is_normalised=config.is_normalised,
    )
