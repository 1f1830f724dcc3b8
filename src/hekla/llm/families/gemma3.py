"""Gemma 3, text only: five layers with a window for each that sees everything. Source: arXiv:2503.19786."""

import math
from dataclasses import replace

import numpy as np

from hekla.base.errors import ModelFileError
from hekla.llm.families.decoder import gguf_decoder, huggingface_decoder
from hekla.llm.families.family import Family, Tensors
from hekla.llm.families.gemma2 import NORM_NAMES
from hekla.llm.families.rotary import huggingface_rotary
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig

_PERIOD = 6  # the last of so many layers has no window
_LOCAL_THETA = 10_000.0
_LAYERS_OF_27B = 62  # the one size whose scores are scaled by the width of all heads


def from_gguf(metadata: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a GGUF."""
    plain = gguf_decoder("gemma3", metadata, tensors, activation="gelu_tanh")
    own = metadata.under("gemma3.")
    everything = plain.layers[0].rotary
    local = RotaryConfig(
        own.number("rope.freq_base_swa", _LOCAL_THETA, least=1.0), everything.dimensions, is_interleaved=False
    )
    window = own.integer("attention.sliding_window", 1024)
    is_local = _gguf_pattern(own, len(plain.layers))
    scale = plain.query_scale
    if len(plain.layers) == _LAYERS_OF_27B:
        scale = 1.0 / math.sqrt(plain.width / plain.heads)
    gemma = _gemma3(plain, is_local, LayerConfig(local, window), LayerConfig(everything))
    return replace(gemma, query_scale=scale, final_soft_cap=own.number("final_logit_softcapping", 0.0))


def from_huggingface(config: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a config.json of a text model, or the `text_config` of a larger one."""
    config = config.table("text_config") or config
    plain = huggingface_decoder("gemma3", config, tensors, activation="gelu_tanh")
    everything = huggingface_rotary(config, plain.head_width, kind_of_layer="full_attention")
    parameters = config.table("rope_parameters")
    if parameters is not None and parameters.get("sliding_attention") is not None:
        local = huggingface_rotary(config, plain.head_width, kind_of_layer="sliding_attention")
    else:
        theta = config.number("rope_local_base_freq", _LOCAL_THETA, least=1.0)
        local = RotaryConfig(theta, plain.head_width, is_interleaved=False)
    window = config.integer("sliding_window", 4096)
    is_local = _huggingface_pattern(config, len(plain.layers))
    return replace(
        _gemma3(plain, is_local, LayerConfig(local, window), LayerConfig(everything)),
        query_scale=1.0 / math.sqrt(config.number("query_pre_attn_scalar", float(plain.head_width), least=1.0)),
        is_norm_plus_one=True,
    )


def _gguf_pattern(own: Metadata, layers: int) -> list[bool]:
    found = own.get("attention.sliding_window_pattern")
    if isinstance(found, np.ndarray):
        if len(found) != layers:
            raise own.wrong("attention.sliding_window_pattern", f"{layers} values", f"{len(found)} values")
        return [bool(value) for value in found]
    period = own.integer("attention.sliding_window_pattern", _PERIOD)
    return [(layer + 1) % period != 0 for layer in range(layers)]


def _huggingface_pattern(config: Metadata, layers: int) -> list[bool]:
    kinds = config.texts("layer_types")
    if kinds is None:
        period = config.integer("sliding_window_pattern", _PERIOD)
        return [(layer + 1) % period != 0 for layer in range(layers)]
    if len(kinds) != layers or not set(kinds) <= {"sliding_attention", "full_attention"}:
        raise ModelFileError(f"expected {layers} kinds of layers, found {list(kinds)[:8]}", where=config.where)
    return [kind == "sliding_attention" for kind in kinds]


def _gemma3(plain: ModelConfig, is_local: list[bool], local: LayerConfig, everything: LayerConfig) -> ModelConfig:
    return replace(
        plain,
        layers=tuple(local if windowed else everything for windowed in is_local),
        embedding_scale=math.sqrt(plain.width),
        has_qk_norm=True,
        has_post_norms=True,
    )


FAMILY = Family(
    "gemma3", frozenset({"gemma3"}), frozenset({"gemma3_text", "gemma3"}), from_gguf, from_huggingface, NORM_NAMES
)
