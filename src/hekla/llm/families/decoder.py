"""What all decoders' files say in the same way; a family's file changes what is its own with `replace`."""

import math
from typing import Literal

import numpy as np

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.families.family import Tensors
from hekla.llm.families.rotary import huggingface_rotary
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig
from hekla.llm.tensors import Quantisation
from hekla.llm.tokens_at_the_ends import gguf_begin_token, gguf_end_tokens, huggingface_end_tokens

MOST_LAYERS = 1024
MOST_WIDTH = 1 << 20
EMBEDDING, HEAD, FACTORS = "token_embd.weight", "output.weight", "rope_freqs.weight"


def gguf_decoder(
    family: str,
    metadata: Metadata,
    tensors: Tensors,
    *,
    is_interleaved: bool = False,
    activation: Literal["silu", "gelu_tanh"] = "silu",
) -> ModelConfig:
    """Return a plain decoder as a GGUF's metadata tells it."""
    own = metadata.under(metadata.text("general.architecture") + ".")
    width, heads = own.integer("embedding_length", most=MOST_WIDTH), own.same_in_all("attention.head_count")
    head_width = own.integer("attention.key_length", default=_share(width, heads, own), most=MOST_WIDTH)
    if own.integer("attention.value_length", default=head_width) != head_width:
        raise UnsupportedError("keys and values of different widths", where=f"{own.where}: attention.value_length")
    rotary = RotaryConfig(
        theta=own.number("rope.freq_base", 10_000.0, least=1.0),
        dimensions=own.integer("rope.dimension_count", default=head_width, most=head_width),
        is_interleaved=is_interleaved,
        scale=_gguf_scale(own),
        factors=_factors(tensors, own.where),
    )
    return ModelConfig(
        family=family,
        layers=(LayerConfig(rotary),) * own.integer("block_count", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=own.same_in_all("attention.head_count_kv", default=heads),
        head_width=head_width,
        feed_forward_width=own.same_in_all("feed_forward_length"),
        vocabulary_tokens=_rows_of_embedding(tensors, own.where),
        context_tokens=own.integer("context_length"),
        norm_epsilon=own.number("attention.layer_norm_rms_epsilon", most=1.0),
        activation=activation,
        query_scale=1.0 / math.sqrt(head_width),
        is_head_tied=HEAD not in tensors,
        end_tokens=gguf_end_tokens(metadata),
        begin_token=gguf_begin_token(metadata),
    )


def huggingface_decoder(
    family: str, config: Metadata, tensors: Tensors, *, activation: Literal["silu", "gelu_tanh"] = "silu"
) -> ModelConfig:
    """Return a plain decoder as a config.json tells it."""
    width, heads = config.integer("hidden_size", most=MOST_WIDTH), config.integer("num_attention_heads")
    head_width = config.integer("head_dim", default=_share(width, heads, config), most=MOST_WIDTH)
    return ModelConfig(
        family=family,
        layers=(LayerConfig(huggingface_rotary(config, head_width)),)
        * config.integer("num_hidden_layers", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=config.integer("num_key_value_heads", default=heads),
        head_width=head_width,
        feed_forward_width=config.integer("intermediate_size"),
        vocabulary_tokens=_rows_of_embedding(tensors, config.where),
        context_tokens=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps", 1e-6, most=1.0),
        activation=activation,
        query_scale=1.0 / math.sqrt(head_width),
        is_head_tied=HEAD not in tensors and config.get("tie_word_embeddings") is not False,
        end_tokens=huggingface_end_tokens(config),
    )


def _share(width: int, heads: int, metadata: Metadata) -> int:
    if width < heads:
        raise ModelFileError(f"{heads} heads in a width of {width}", where=metadata.where)
    return width // heads


def _rows_of_embedding(tensors: Tensors, where: str) -> int:
    if EMBEDDING not in tensors or len(tensors[EMBEDDING].shape) != 2:
        raise ModelFileError(f"expected a matrix {EMBEDDING}, found none", where=where)
    return tensors[EMBEDDING].shape[0]


def _gguf_scale(own: Metadata) -> float:
    kind = own.text("rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise UnsupportedError(
            f"rotary scaling {quoted(kind)}", where=f"{own.where}: rope.scaling.type", cure="known: none, linear"
        )
    if kind == "none":
        return own.number("rope.scale_linear", 1.0, least=1e-6)  # what old files had
    return own.number("rope.scaling.factor", least=1e-6)


def _factors(tensors: Tensors, where: str) -> tuple[float, ...]:
    if FACTORS not in tensors:
        return ()
    stored = tensors[FACTORS]
    if stored.quantisation is not Quantisation.F32 or len(stored.shape) != 1:
        raise ModelFileError(
            f"{FACTORS}: expected one row of F32, found {stored.quantisation.name} {stored.shape}", where=where
        )
    values = stored.data.view("<f4")
    if not np.isfinite(values).all() or (values <= 0).any():
        raise ModelFileError(f"{FACTORS}: expected numbers above 0", where=where)
    return tuple(float(value) for value in values)
