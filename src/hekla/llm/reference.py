"""The transformer and its paged KV cache in NumPy: slow, obvious, and the definition of what a runner computes.

Every token is computed by itself, so that the same sequence gives the same bits alone, among others, and in any
chunks. Weights are f32, by the names of `tensors.py`: a matrix is (outputs, inputs), y = W x.

For each layer:  x += post(W_o attention(norm(x)));  x += post(W_down (act(W_gate n) * (W_up n))), n = norm(x).
Sources: Llama 2 (arXiv:2307.09288), RoPE (2104.09864), GQA (2305.13245), Gemma 2 (2408.00118), Gemma 3 (2503.19786).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError
from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig
from hekla.llm.reference_sampling import choose
from hekla.llm.runner import F32, I32, LoraDelta, StepBatch, StepResult

KvType = Literal["f32", "f16", "int8"]


class ReferenceRunner:
    """A `ModelRunner` that can be read. Several may share one mapping of weights."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, F32],
        *,
        pages: int,
        page_tokens: int = 16,
        max_step_tokens: int = 512,
        kv_type: KvType = "f32",
    ) -> None:
        self._config, self._weights, self._kv_type = config, weights, kv_type
        self._pages, self._page_tokens, self._max_step_tokens = pages, page_tokens, max_step_tokens
        shape = (len(config.layers), 2, pages, page_tokens, config.kv_heads, config.head_width)
        self._kv = np.zeros(shape, {"f32": np.float32, "f16": np.float16, "int8": np.int8}[kv_type])
        # one scale for each key or value vector, int8 only: value = stored * scale
        self._kv_scale = np.zeros(shape[:-1] if kv_type == "int8" else (0,), np.float32)
        self._adapters: dict[int, dict[str, LoraDelta]] = {}
        self._logits = np.zeros((0, config.vocabulary_tokens), np.float32)

    @property
    def page_tokens(self) -> int:
        """Positions of a page."""
        return self._page_tokens

    @property
    def pages(self) -> int:
        """Pages there are."""
        return self._pages

    @property
    def max_step_tokens(self) -> int:
        """The most tokens of one step."""
        return self._max_step_tokens

    @property
    def vocabulary_tokens(self) -> int:
        """Length of a row of logits."""
        return self._config.vocabulary_tokens

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights held."""
        return sum(array.nbytes for array in self._weights.values())

    @property
    def kv_bytes(self) -> int:
        """Bytes of all pages."""
        return self._kv.nbytes + self._kv_scale.nbytes

    def step(self, batch: StepBatch) -> StepResult:
        """See `ModelRunner.step`."""
        assert len(batch.tokens) <= self._max_step_tokens, "a step over the scratch memory"
        began = time.perf_counter()
        states = np.zeros((len(batch.tokens), self._config.width), np.float32)
        for sequence in range(len(batch.sequence_start) - 1):
            table, adapter = batch.page_table[sequence], self._adapters.get(int(batch.adapter[sequence]), {})
            for place in range(batch.sequence_start[sequence], batch.sequence_start[sequence + 1]):
                states[place] = self._forward(int(batch.tokens[place]), int(batch.positions[place]), table, adapter)
        self._logits = np.zeros((len(batch.logits_rows), self.vocabulary_tokens), np.float32)
        for row, place in enumerate(batch.logits_rows):
            self._logits[row] = self._head(states[place])
        forwarded = time.perf_counter()
        chosen = choose(self._logits, batch.sampling)
        return StepResult(
            chosen.tokens,
            chosen.logprobs,
            chosen.top_tokens,
            chosen.top_logprobs,
            forwarded - began,
            time.perf_counter() - forwarded,
        )

    def logits(self) -> F32:
        """See `ModelRunner.logits`."""
        return self._logits

    def copy_page(self, source: int, target: int) -> None:
        """Copy one page, all layers."""
        self._kv[:, :, target] = self._kv[:, :, source]
        if self._kv_type == "int8":
            self._kv_scale[:, :, target] = self._kv_scale[:, :, source]

    def load_adapter(self, slot: int, deltas: Sequence[LoraDelta]) -> None:
        """Hold a LoRA adapter in a slot."""
        self._adapters[slot] = {delta.matrix: delta for delta in deltas}

    def unload_adapter(self, slot: int) -> None:
        """Empty a slot."""
        self._adapters.pop(slot, None)

    def close(self) -> None:
        """Free everything."""
        self._weights, self._adapters = {}, {}
        self._kv, self._kv_scale = self._kv[:0], self._kv_scale[:0]

    def _forward(self, token: int, position: int, table: I32, adapter: Mapping[str, LoraDelta]) -> F32:
        """Write one token's keys and values, and return its last hidden state (width,)."""
        config = self._config
        hidden: F32 = self._weight("token_embd.weight")[token] * np.float32(config.embedding_scale)
        for number, layer in enumerate(config.layers):
            prefix = f"blk.{number}."
            attended = self._attention(
                number, layer, self._norm(hidden, prefix + "attn_norm"), position, table, adapter
            )
            if config.has_post_norms:
                attended = self._norm(attended, prefix + "post_attention_norm")
            hidden = hidden + attended
            normed = self._norm(hidden, prefix + "ffn_norm")
            gate = _activated(self._linear(normed, prefix + "ffn_gate", adapter), config.activation)
            fed = gate * self._linear(normed, prefix + "ffn_up", adapter)
            fed = self._linear(fed, prefix + "ffn_down", adapter)
            if config.has_post_norms:
                fed = self._norm(fed, prefix + "post_ffw_norm")
            hidden = hidden + fed
        return hidden

    def _head(self, hidden: F32) -> F32:
        """Return the logits (vocabulary,) of one hidden state."""
        name = "token_embd.weight" if self._config.is_head_tied else "output.weight"
        logits: F32 = self._weight(name) @ self._norm(hidden, "output_norm")
        return soft_cap(logits, self._config.final_soft_cap)

    def _attention(
        self, number: int, layer: LayerConfig, x: F32, position: int, table: I32, adapter: Mapping[str, LoraDelta]
    ) -> F32:
        config, prefix = self._config, f"blk.{number}."
        query = self._linear(x, prefix + "attn_q", adapter).reshape(config.heads, config.head_width)
        key = self._linear(x, prefix + "attn_k", adapter).reshape(config.kv_heads, config.head_width)
        value = self._linear(x, prefix + "attn_v", adapter).reshape(config.kv_heads, config.head_width)
        if config.has_qk_norm:
            query, key = self._norm(query, prefix + "attn_q_norm"), self._norm(key, prefix + "attn_k_norm")
        page, slot = int(table[position // self._page_tokens]), position % self._page_tokens
        self._store(number, 0, page, slot, rotated(key, position, layer.rotary))
        self._store(number, 1, page, slot, value)
        first = max(0, position + 1 - layer.window_tokens) if layer.window_tokens else 0
        keys = self._load(number, 0, table, first, position + 1)  # (n, kv_heads, head_width)
        values = self._load(number, 1, table, first, position + 1)
        query = rotated(query, position, layer.rotary)
        heads = np.zeros((config.heads, config.head_width), np.float32)
        for head in range(config.heads):
            shared = head * config.kv_heads // config.heads
            scores = soft_cap(
                np.ascontiguousarray(keys[:, shared]) @ query[head] * np.float32(config.query_scale),
                config.attention_soft_cap,
            )
            powers = np.exp(scores - scores.max())
            heads[head] = (powers / powers.sum()) @ np.ascontiguousarray(values[:, shared])
        return self._linear(heads.reshape(-1), prefix + "attn_output", adapter)

    def _linear(self, x: F32, name: str, adapter: Mapping[str, LoraDelta]) -> F32:
        y: F32 = self._weight(name + ".weight") @ x
        if self._config.has_qkv_bias and name.endswith(("attn_q", "attn_k", "attn_v")):
            y = y + self._weight(name + ".bias")
        delta = adapter.get(name)
        if delta is not None:
            added: F32 = delta.b @ (delta.a @ x)
            y = y + np.float32(delta.scale) * added
        return y

    def _norm(self, x: F32, name: str) -> F32:
        """Return the RMS norm of the last dimension."""
        weight = self._weight(name + ".weight")
        if self._config.is_norm_plus_one:
            weight = np.add(weight, 1, dtype=np.float32)
        mean: NDArray[np.float32] = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        root: F32 = np.sqrt(np.add(mean, self._config.norm_epsilon, dtype=np.float32), dtype=np.float32)
        return x / root * weight

    def _weight(self, name: str) -> F32:
        try:
            return self._weights[name]
        except KeyError:
            raise ModelFileError(f"the tensor {name!r} is missing") from None

    def _store(self, layer: int, part: int, page: int, slot: int, x: F32) -> None:
        """Write one position's keys (part 0) or values (part 1), (kv_heads, head_width)."""
        if self._kv_type == "int8":
            scale = np.maximum(np.abs(x).max(axis=-1), np.float32(1e-30)) / np.float32(127)
            self._kv_scale[layer, part, page, slot] = scale
            x = np.rint(x / scale[:, None])
        self._kv[layer, part, page, slot] = x

    def _load(self, layer: int, part: int, table: I32, first: int, last: int) -> F32:
        """Return positions first..last-1 as f32 (n, kv_heads, head_width)."""
        places = np.arange(first, last)
        pages, slots = table[places // self._page_tokens], places % self._page_tokens
        found: F32 = self._kv[layer, part, pages, slots].astype(np.float32)
        if self._kv_type != "int8":
            return found
        scale: F32 = self._kv_scale[layer, part, pages, slots][:, :, None]
        return found * scale


def rotated(x: F32, position: int, rotary: RotaryConfig) -> F32:
    """Return heads (heads, head_width) turned to a position: each pair by position / scale * frequency."""
    half = rotary.dimensions // 2
    frequencies = rotary.theta ** (-np.arange(half, dtype=np.float64) / half)
    if rotary.factors:
        frequencies = frequencies / np.asarray(rotary.factors, np.float64)
    angles = position / rotary.scale * frequencies
    cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    step = 2 if rotary.is_interleaved else 1
    first = slice(0, rotary.dimensions if rotary.is_interleaved else half, step)
    second = slice(1 if rotary.is_interleaved else half, rotary.dimensions, step)
    turned = x.copy()
    turned[:, first] = x[:, first] * cosine - x[:, second] * sine
    turned[:, second] = x[:, second] * cosine + x[:, first] * sine
    return turned


def soft_cap(values: F32, cap: float) -> F32:
    """Return cap * tanh(values / cap); unchanged for cap 0."""
    if not cap:
        return values
    bounded: F32 = np.tanh(values / np.float32(cap))
    return np.float32(cap) * bounded


def _activated(x: F32, activation: Literal["silu", "gelu_tanh"]) -> F32:
    if activation == "silu":
        powers: F32 = np.exp(-np.clip(x, -80, None))
        return x / (np.float32(1) + powers)
    inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)  # sqrt(2 / pi)
    bent: F32 = np.tanh(inner)
    return np.float32(0.5) * x * (np.float32(1) + bent)
