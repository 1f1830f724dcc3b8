"""What of a model is known while its step is compiled: one specialisation for each value of `StepShape`."""

from dataclasses import dataclass

from hekla.kernels.llm.panels import KINDS


@dataclass(frozen=True, slots=True)
class StepShape:
    """The constants of a step. Widths that end in `_stride` are distances between rows of scratch memory."""

    kinds: tuple[int, ...]  # of all matrices, in `panels.KINDS`
    is_exact: bool  # f32 activations times dequantised weights, instead of bytes
    width: int
    heads: int
    kv_heads: int
    head_width: int  # as the model has it
    head_room: int  # as memory has it: a multiple of 16
    feed_forward_width: int
    vocabulary_tokens: int
    stride: int  # of normed rows, and of their bytes; a multiple of 32
    wide_stride: int  # of queries, keys and values side by side, or gates and ups
    delta_stride: int  # of what is added to the hidden states
    logits_stride: int
    page: int
    kv: str  # f32, f16, int8
    epsilon: float
    query_scale: float
    embedding_scale: float
    attention_cap: float
    final_cap: float
    is_gelu: bool
    has_qkv_bias: bool
    has_qk_norm: bool
    has_post_norms: bool

    @property
    def group(self) -> int:
        """Heads that share a head of keys."""
        return self.heads // self.kv_heads

    @property
    def tile_tokens(self) -> int:
        """Tokens of a prompt that attend together: up to twelve rows of queries."""
        return max(1, 12 // self.group)

    @property
    def query_room(self) -> int:
        """Columns of all queries."""
        return self.heads * self.head_room

    @property
    def key_room(self) -> int:
        """Columns of all keys."""
        return self.kv_heads * self.head_room

    @property
    def up_column(self) -> int:
        """Where the ups begin, after the gates."""
        return -(-self.feed_forward_width // 16) * 16

    @property
    def has_bytes(self) -> bool:
        """True where some matrix takes activations as bytes."""
        return not self.is_exact and any(not KINDS[kind].is_float for kind in self.kinds)
