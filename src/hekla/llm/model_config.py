"""What a transformer is made of: all that families differ in, as data.

One set of blocks computes every family; a family's file (`families/`) only says which of these it wants and reads
the numbers from the model's metadata. A new family needs no change to the engine.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RotaryConfig:
    """Rotary position embedding of a layer."""

    theta: float
    dimensions: int  # of each head that turn; the rest stay
    is_interleaved: bool  # pairs (0, 1), (2, 3) as GGUF's llama has them; else (0, n/2), (1, n/2 + 1)
    scale: float = 1.0  # positions are divided by it (linear scaling)
    factors: tuple[float, ...] = ()  # one a pair: frequencies are divided by it (llama 3); () all 1


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """One layer."""

    rotary: RotaryConfig
    window_tokens: int = 0  # how far back attention looks; 0: to the start


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A causal decoder."""

    family: str
    layers: tuple[LayerConfig, ...]
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward_width: int
    vocabulary_tokens: int
    context_tokens: int
    norm_epsilon: float
    activation: Literal["silu", "gelu_tanh"]
    query_scale: float  # attention scores are multiplied by it; 1 / sqrt(head_width) unless the family says otherwise
    embedding_scale: float = 1.0  # gemma: sqrt(width)
    has_qkv_bias: bool = False  # qwen2
    has_qk_norm: bool = False  # qwen3, gemma3: RMS norm over each head before the rotation
    has_post_norms: bool = False  # gemma: RMS norm of what attention and feed-forward give, before it is added
    is_norm_plus_one: bool = False  # weights of norms are stored less 1 (gemma's safetensors; its GGUF has them whole)
    attention_soft_cap: float = 0.0  # gemma2; 0: none
    final_soft_cap: float = 0.0  # gemma2; 0: none
    is_head_tied: bool = False  # the head is the embedding
    end_tokens: frozenset[int] = frozenset()
    begin_token: int | None = None  # what a prompt begins with, where the model wants one
