"""Which tensors a model must have, and of what shape: what `ModelConfig` says, as a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hekla.llm.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class ExpectedTensor:
    """A tensor's shape as NumPy has it: (outputs, inputs) for a matrix."""

    shape: tuple[int, ...]

    @property
    def is_matrix(self) -> bool:
        """True for what is multiplied with, and may be quantised."""
        return len(self.shape) == 2


def expected_tensors(config: ModelConfig) -> Mapping[str, ExpectedTensor]:
    """Return all tensors of a decoder by name, those of layer 0 first after the embedding, the head last."""
    found = {"token_embd.weight": ExpectedTensor((config.vocabulary_tokens, config.width))}
    for layer in range(len(config.layers)):
        found |= {f"blk.{layer}.{name}": ExpectedTensor(shape) for name, shape in _layer(config)}
    found["output_norm.weight"] = ExpectedTensor((config.width,))
    if not config.is_head_tied:
        found["output.weight"] = ExpectedTensor((config.vocabulary_tokens, config.width))
    return found


def _layer(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner = config.width, config.feed_forward_width
    queries, keys = config.heads * config.head_width, config.kv_heads * config.head_width
    yield "attn_norm.weight", (width,)
    for name, outputs in (("attn_q", queries), ("attn_k", keys), ("attn_v", keys)):
        yield f"{name}.weight", (outputs, width)
        if config.has_qkv_bias:
            yield f"{name}.bias", (outputs,)
    if config.has_qk_norm:
        yield "attn_q_norm.weight", (config.head_width,)
        yield "attn_k_norm.weight", (config.head_width,)
    yield "attn_output.weight", (width, queries)
    if config.has_post_norms:
        yield "post_attention_norm.weight", (width,)
    yield "ffn_norm.weight", (width,)
    yield "ffn_gate.weight", (inner, width)
    yield "ffn_up.weight", (inner, width)
    yield "ffn_down.weight", (width, inner)
    if config.has_post_norms:
        yield "post_ffw_norm.weight", (width,)
