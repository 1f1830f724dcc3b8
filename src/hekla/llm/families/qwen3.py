"""Qwen3: Llama with a norm over each head of queries and keys. Source: Yang et al., arXiv:2505.09388."""

from dataclasses import replace

from hekla.base.errors import UnsupportedError
from hekla.llm.families.decoder import gguf_decoder, huggingface_decoder
from hekla.llm.families.family import Family, Tensors
from hekla.llm.families.llama import NORM_NAMES
from hekla.llm.families.qwen2 import windowed_layers
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import ModelConfig


def from_gguf(metadata: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a GGUF."""
    return replace(gguf_decoder("qwen3", metadata, tensors), has_qk_norm=True)


def from_huggingface(config: Metadata, tensors: Tensors) -> ModelConfig:
    """Read a config.json. Errors: UnsupportedError for biases, which no published model has."""
    if config.flag("attention_bias"):
        raise UnsupportedError("Qwen3 with biases", where=f"{config.where}: attention_bias")
    plain = huggingface_decoder("qwen3", config, tensors)
    return replace(plain, has_qk_norm=True, layers=windowed_layers(config, plain))


FAMILY = Family("qwen3", frozenset({"qwen3"}), frozenset({"qwen3"}), from_gguf, from_huggingface, NORM_NAMES)
