"""Llama, and what is built like it: SmolLM2, Mistral. Source: Touvron et al., arXiv:2302.13971, arXiv:2307.09288."""

from dataclasses import replace

from hekla.base.errors import UnsupportedError
from hekla.llm.families.decoder import gguf_decoder, huggingface_decoder
from hekla.llm.families.family import Family, Tensors
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import LayerConfig, ModelConfig

NORM_NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def from_gguf(metadata: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a GGUF, whose queries and keys are permuted so that neighbours turn together."""
    if metadata.integer("llama.expert_count", 0, least=0):
        raise UnsupportedError("a mixture of experts", where=f"{metadata.where}: llama.expert_count")
    return gguf_decoder("llama", metadata, tensors, is_interleaved=True)


def from_huggingface(config: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a config.json; Mistral's first version had a window."""
    plain = huggingface_decoder("llama", config, tensors)
    if config.get("model_type") != "mistral" or config.get("sliding_window") is None:
        return plain
    window = config.integer("sliding_window")
    return replace(plain, layers=tuple(LayerConfig(layer.rotary, window) for layer in plain.layers))


FAMILY = Family("llama", frozenset({"llama"}), frozenset({"llama", "mistral"}), from_gguf, from_huggingface, NORM_NAMES)
