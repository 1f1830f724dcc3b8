"""A BERT sentence encoder's forward pass, as short as it can be said, in float64: the oracle for the importer."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def embeddings(
    weights: Mapping[str, F64], heads: int, layers: int, eps: float, ids: NDArray[np.int64], mask: NDArray[np.int64]
) -> F64:
    """Return one vector of length 1 per row. Shapes: ids, mask (batch, seq) -> (batch, hidden)."""

    def linear(x: F64, name: str) -> F64:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: F64, name: str) -> F64:
        centred = x - x.mean(-1, keepdims=True)
        scaled: F64 = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def encode(ids: NDArray[np.int64]) -> F64:
        """One text without padding: (seq,) -> (seq, hidden)."""
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(layers):
            p = f"encoder.layer.{layer}"
            q, k, v = (linear(x, f"{p}.attention.self.{part}") for part in ("query", "key", "value"))
            mixed = []
            for qh, kh, vh in zip(*(np.split(part, heads, axis=-1) for part in (q, k, v)), strict=True):
                scores = np.exp(qh @ kh.T / math.sqrt(qh.shape[-1]))
                mixed.append(scores / scores.sum(-1, keepdims=True) @ vh)
            attention = linear(np.concatenate(mixed, -1), f"{p}.attention.output.dense")
            x = norm(x + attention, f"{p}.attention.output.LayerNorm")
            inner = linear(x, f"{p}.intermediate.dense")
            inner = inner * (1 + _erf(inner / math.sqrt(2))) / 2
            x = norm(x + linear(inner, f"{p}.output.dense"), f"{p}.output.LayerNorm")
        return x

    pooled = [encode(row[: int(here.sum())]).mean(0) for row, here in zip(ids, mask, strict=True)]
    return np.stack([np.asarray(vector / np.linalg.norm(vector), np.float64) for vector in pooled])
