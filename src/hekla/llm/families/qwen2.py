"""Qwen2 and Qwen2.5: Llama with biases on queries, keys and values. Source: Yang et al., arXiv:2407.10671."""

from dataclasses import replace

from hekla.llm.families.decoder import gguf_decoder, huggingface_decoder
from hekla.llm.families.family import Family, Tensors
from hekla.llm.families.llama import NORM_NAMES
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import LayerConfig, ModelConfig


def from_gguf(metadata: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a GGUF."""
    return replace(gguf_decoder("qwen2", metadata, tensors), has_qkv_bias=True)


def from_huggingface(config: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a config.json."""
    plain = huggingface_decoder("qwen2", config, tensors)
    return replace(plain, has_qkv_bias=True, layers=windowed_layers(config, plain))


def windowed_layers(config: Metadata, plain: ModelConfig) -> tuple[LayerConfig, ...]:
    """Return the layers, those from `max_window_layers` on with a window where the file switches it on."""
    if not config.flag("use_sliding_window") or config.get("sliding_window") is None:
        return plain.layers
    window, first = config.integer("sliding_window"), config.integer("max_window_layers", 0, least=0)
    return tuple(replace(row, window_tokens=window if i >= first else 0) for i, row in enumerate(plain.layers))


FAMILY = Family("qwen2", frozenset({"qwen2"}), frozenset({"qwen2"}), from_gguf, from_huggingface, NORM_NAMES)
