"""Gemma 2: windows on every other layer, soft caps, norms after each part. Source: arXiv:2408.00118."""

import math
from dataclasses import replace

from hekla.llm.families.decoder import gguf_decoder, huggingface_decoder
from hekla.llm.families.family import Family, Tensors
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import ModelConfig

NORM_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_LAYERS_OF_27B = 46  # the one size whose scores are scaled by the width of all heads


def from_gguf(metadata: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a GGUF."""
    plain = gguf_decoder("gemma2", metadata, tensors, activation="gelu_tanh")
    own = metadata.under("gemma2.")
    scale = plain.query_scale
    if len(plain.layers) == _LAYERS_OF_27B:
        scale = 1.0 / math.sqrt(plain.width / plain.heads)
    return replace(
        _gemma2(plain, own.integer("attention.sliding_window", 4096)),
        query_scale=scale,
        attention_soft_cap=own.number("attn_logit_softcapping", 50.0),
        final_soft_cap=own.number("final_logit_softcapping", 30.0),
    )


def from_huggingface(config: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a config.json."""
    plain = huggingface_decoder("gemma2", config, tensors, activation="gelu_tanh")
    return replace(
        _gemma2(plain, config.integer("sliding_window", 4096)),
        query_scale=1.0 / math.sqrt(config.number("query_pre_attn_scalar", float(plain.head_width), least=1.0)),
        attention_soft_cap=_cap(config, "attn_logit_softcapping"),
        final_soft_cap=_cap(config, "final_logit_softcapping"),
        is_norm_plus_one=True,
    )


def _gemma2(plain: ModelConfig, window: int) -> ModelConfig:
    layers = tuple(replace(row, window_tokens=window if i % 2 == 0 else 0) for i, row in enumerate(plain.layers))
    return replace(plain, layers=layers, embedding_scale=math.sqrt(plain.width), has_post_norms=True)


def _cap(config: Metadata, key: str) -> float:
    return 0.0 if config.get(key) is None else config.number(key)


FAMILY = Family("gemma2", frozenset({"gemma2"}), frozenset({"gemma2"}), from_gguf, from_huggingface, NORM_NAMES)
