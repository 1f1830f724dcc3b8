"""The compiled encoder computes BERT, and a sentence's vector does not depend on its neighbours."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.llm.compiled.stored import stored

from hekla.base.errors import InputError, TooLargeError, UnsupportedError
from hekla.llm.compiled.encoder import CompiledEncoder
from hekla.llm.families.bert import BertConfig, bert_tensors
from hekla.llm.runner import F32, I32

TINY = BertConfig(
    layers=2, width=48, heads=3, feed_forward_width=72, vocabulary_tokens=50, positions=80, context_tokens=70,
    token_types=2, norm_epsilon=1e-12, activation="gelu", pooling="mean", is_normalised=True,
)  # fmt: skip
SENTENCES = [np.random.default_rng(n).integers(0, 50, n).astype(np.int32) for n in (5, 1, 70, 16, 9)]


def weights_of(config: BertConfig) -> dict[str, F32]:
    rng = np.random.default_rng(0)
    found = {}
    for name, expected in bert_tensors(config).items():
        values = rng.normal(size=expected.shape).astype(np.float32)
        is_norm = "norm" in name and name.endswith("weight")
        scale = expected.shape[-1] ** -0.5 if len(expected.shape) == 2 else 0.1
        found[name] = values * np.float32(scale) + np.float32(is_norm)
    return found


def encoder(config: BertConfig, precision: str = "exact") -> CompiledEncoder:
    tensors = {name: stored(name, values) for name, values in weights_of(config).items()}
    return CompiledEncoder(config, tensors, precision=precision, max_step_tokens=100)  # type: ignore[arg-type]


def reference(config: BertConfig, weights: dict[str, F32], tokens: I32) -> F32:
    """Say it in NumPy."""

    def linear(x: F32, name: str) -> F32:
        y: F32 = x @ weights[name + ".weight"].T + weights[name + ".bias"]
        return y

    def norm(x: F32, name: str) -> F32:
        off = x - x.mean(axis=1, keepdims=True)
        scaled = off / np.sqrt((off * off).mean(axis=1, keepdims=True) + config.norm_epsilon)
        y: F32 = scaled * weights[name + ".weight"] + weights[name + ".bias"]
        return y

    x = weights["token_embd.weight"][tokens] + weights["position_embd.weight"][: len(tokens)]
    x = norm(x + weights["token_types.weight"][0], "token_embd_norm")
    for layer in range(config.layers):
        prefix = f"blk.{layer}."
        parts = [linear(x, prefix + n).reshape(len(x), config.heads, -1) for n in ("attn_q", "attn_k", "attn_v")]
        scores = np.einsum("ihd,jhd->hij", parts[0], parts[1]) / math.sqrt(config.head_width)
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        seen = np.einsum("hij,jhd->ihd", powers / powers.sum(axis=2, keepdims=True), parts[2]).reshape(len(x), -1)
        x = norm(x + linear(seen, prefix + "attn_output"), prefix + "attn_output_norm")
        inner = linear(x, prefix + "ffn_up")
        if config.activation == "relu":
            inner = np.maximum(inner, 0)
        else:
            inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        x = norm(x + linear(inner.astype(np.float32), prefix + "ffn_down"), prefix + "layer_output_norm")
    vector: F32 = x[0] if config.pooling == "first" else x.mean(axis=0)
    return vector / np.linalg.norm(vector) if config.is_normalised else vector


@pytest.mark.parametrize("is_other", [False, True])
def test_vectors_are_the_reference_s_and_the_same_alone(is_other: bool) -> None:
    config = TINY
    if is_other:
        changed = {"activation": "relu", "pooling": "first", "is_normalised": False}
        config = BertConfig(**{name: getattr(TINY, name) for name in TINY.__slots__} | changed)
    made, weights = encoder(config), weights_of(config)
    found = made.encode(SENTENCES)
    assert_allclose(found, [reference(config, weights, s) for s in SENTENCES], rtol=1e-4, atol=1e-5)
    for sentence, vector in zip(SENTENCES, found, strict=True):
        assert_array_equal(made.encode([sentence])[0], vector)


def test_bytes_come_close() -> None:
    config = BertConfig(**{name: getattr(TINY, name) for name in TINY.__slots__} | {"width": 96, "heads": 3})
    found = encoder(config, "quantised").encode(SENTENCES)
    wanted = np.array([reference(config, weights_of(config), s) for s in SENTENCES])
    assert (found * wanted).sum(axis=1).min() > 0.9995


def test_what_cannot_be_encoded_is_refused() -> None:
    made = encoder(TINY)
    assert made.encode([]).shape == (0, 48)
    with pytest.raises(TooLargeError, match=r"sentences\[1\]: the limit is 70 tokens, got 71"):
        made.encode([SENTENCES[0], np.zeros(71, np.int32)])
    with pytest.raises(InputError, match="a sentence of no tokens"):
        made.encode([np.zeros(0, np.int32)])
    with pytest.raises(InputError, match="not one of the 50"):
        made.encode([np.array([50], np.int32)])
    odd = BertConfig(**{name: getattr(TINY, name) for name in TINY.__slots__} | {"heads": 6})
    with pytest.raises(UnsupportedError, match="heads of width 8"):
        encoder(odd)
