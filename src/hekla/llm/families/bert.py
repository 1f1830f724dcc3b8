"""BERT encoders, for embeddings: MiniLM and its like, from safetensors. Source: Devlin et al., arXiv:1810.04805.

Tensors are named as in GGUF's "bert": `token_embd`, `position_embd`, `token_types`, `token_embd_norm`, and for layer i
`blk.{i}.` + `attn_q`, `attn_k`, `attn_v`, `attn_output`, `attn_output_norm`, `ffn_up`, `ffn_down`, `layer_output_norm`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hekla.base.errors import UnsupportedError, quoted
from hekla.llm.expected import ExpectedTensor
from hekla.llm.metadata import Metadata

_ENDS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_LAYER = re.compile(r"^encoder\.layer\.(\d{1,4})\.(.+)\.(weight|bias)$")


@dataclass(frozen=True, slots=True)
class BertConfig:
    """An encoder. Attention sees all tokens; norms (mean and variance) come after each part."""

    layers: int
    width: int
    heads: int
    feed_forward_width: int
    vocabulary_tokens: int
    positions: int  # rows of the position embedding
    context_tokens: int  # how many tokens the sentence encoder was made for
    token_types: int
    norm_epsilon: float
    activation: Literal["gelu", "relu"]  # gelu by the error function
    pooling: Literal["mean", "first"]
    is_normalised: bool  # vectors are divided by their length

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.width // self.heads


def bert_config(config: Metadata, *, context_tokens: int | None, pooling: Mapping[str, object]) -> BertConfig:
    """Read a config.json. `pooling`: what `1_Pooling/config.json` says, {} where there is none: the mean.

    Errors: ModelFileError naming the key; UnsupportedError naming a variant that is not computed.
    """
    activation, kind = config.text("hidden_act", "gelu"), config.text("position_embedding_type", "absolute")
    if activation not in ("gelu", "relu") or kind != "absolute":
        raise UnsupportedError(f"{quoted(activation)} with {quoted(kind)} positions", where=config.where)
    if any(pooling.get(f"pooling_mode_{other}") for other in ("max_tokens", "weightedmean_tokens", "lasttoken")):
        raise UnsupportedError("pooling other than mean or first", where=config.where)
    width, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    if width % heads:
        raise config.wrong("hidden_size", f"a multiple of {heads} heads", width)
    positions = config.integer("max_position_embeddings")
    return BertConfig(
        layers=config.integer("num_hidden_layers", most=1024),
        width=width,
        heads=heads,
        feed_forward_width=config.integer("intermediate_size"),
        vocabulary_tokens=config.integer("vocab_size"),
        positions=positions,
        context_tokens=min(positions, context_tokens or positions),
        token_types=config.integer("type_vocab_size"),
        norm_epsilon=config.number("layer_norm_eps", 1e-12, most=1.0),
        activation="relu" if activation == "relu" else "gelu",
        pooling="first" if pooling.get("pooling_mode_cls_token") else "mean",
        is_normalised=True,
    )


def bert_name(name: str) -> str | None:
    """Return the name of `tensors.py` for one of a checkpoint; None for what an encoder does not need."""
    short = name.removeprefix("bert.")
    stem, _, kind = short.rpartition(".")
    if stem in _ENDS:
        return f"{_ENDS[stem]}.{kind}"
    match = _LAYER.match(short)
    if match is None or match[2] not in _PARTS:
        return None
    return f"blk.{int(match[1])}.{_PARTS[match[2]]}.{match[3]}"


def bert_tensors(config: BertConfig) -> Mapping[str, ExpectedTensor]:
    """Return all tensors of an encoder by name."""
    width, inner = config.width, config.feed_forward_width
    found = {
        "token_embd.weight": ExpectedTensor((config.vocabulary_tokens, width)),
        "position_embd.weight": ExpectedTensor((config.positions, width)),
        "token_types.weight": ExpectedTensor((config.token_types, width)),
        "token_embd_norm.weight": ExpectedTensor((width,)),
        "token_embd_norm.bias": ExpectedTensor((width,)),
    }
    parts: dict[str, tuple[int, ...]] = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width))
    parts |= {"attn_output_norm": (width,), "ffn_up": (inner, width), "ffn_down": (width, inner)}
    parts |= {"layer_output_norm": (width,)}
    for layer in range(config.layers):
        for part, shape in parts.items():
            found[f"blk.{layer}.{part}.weight"] = ExpectedTensor(shape)
            found[f"blk.{layer}.{part}.bias"] = ExpectedTensor(shape[:1])
    return found
