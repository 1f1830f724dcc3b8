"""What of an encoder is known while it is compiled: one specialisation for each value of `EncoderShape`."""

from dataclasses import dataclass

from hekla.kernels.llm.panels import KINDS


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The constants of an encoder; names as in `StepShape`. Each head has keys of its own."""

    kinds: tuple[int, ...]
    is_exact: bool
    width: int
    heads: int
    head_room: int
    feed_forward_width: int
    stride: int
    wide_stride: int
    delta_stride: int
    page: int
    epsilon: float
    query_scale: float
    is_relu: bool
    is_first_token: bool  # the sentence is its first token's state; else the mean of all
    is_normalised: bool

    @property
    def room(self) -> int:
        """Columns of all queries, of all keys, of all values."""
        return self.heads * self.head_room

    @property
    def has_bytes(self) -> bool:
        """True where some matrix takes activations as bytes."""
        return not self.is_exact and any(not KINDS[kind].is_float for kind in self.kinds)
