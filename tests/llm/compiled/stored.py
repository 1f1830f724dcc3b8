"""Stored tensors of any kind for tests: random blocks with scales that keep the weights about as large as real ones."""

import numpy as np

from hekla.llm.awq import packed
from hekla.llm.model_config import ModelConfig
from hekla.llm.runner import F32
from hekla.llm.tensors import Quantisation, StoredTensor

SCALE_PLACES = {
    Quantisation.Q4_0: (0,), Quantisation.Q4_1: (0, 2), Quantisation.Q5_0: (0,), Quantisation.Q5_1: (0, 2),
    Quantisation.Q8_0: (0,), Quantisation.Q4_K: (0, 2), Quantisation.Q5_K: (0, 2), Quantisation.Q6_K: (208,),
}  # fmt: skip
SPREAD = {
    Quantisation.Q4_0: 5, Quantisation.Q4_1: 9, Quantisation.Q5_0: 9, Quantisation.Q5_1: 18, Quantisation.Q8_0: 74,
    Quantisation.Q4_K: 280, Quantisation.Q5_K: 570, Quantisation.Q6_K: 1300,
}  # fmt: skip


def stored(name: str, values: F32) -> StoredTensor:
    """Return a tensor of f32."""
    return StoredTensor(name, Quantisation.F32, values.shape, np.ascontiguousarray(values).view(np.uint8).reshape(-1))


def random_stored(name: str, kind: Quantisation, shape: tuple[int, int], rng: np.random.Generator) -> StoredTensor:
    """Return a matrix of random weights of a kind, about 1 / sqrt(inputs) large."""
    outputs, inputs = shape
    size = inputs**-0.5
    if kind is Quantisation.AWQ4:
        codes, zeros = (rng.integers(0, 16, (n, outputs), dtype=np.uint8) for n in (inputs, inputs // 32))
        scales = rng.uniform(0.1, 0.3, (inputs // 32, outputs)).astype(np.float16) * np.float16(size)
        return StoredTensor(
            name,
            kind,
            shape,
            packed(codes).view(np.uint8).reshape(-1),
            scales,
            packed(zeros).view(np.uint8).reshape(-1),
        )
    if kind.block_values == 1:
        values = (rng.normal(size=shape) * size).astype(np.float32)
        if kind is Quantisation.F16:
            data = values.astype(np.float16).view(np.uint8)
        elif kind is Quantisation.BF16:
            data = (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
        else:
            data = values.view(np.uint8)
        return StoredTensor(name, kind, shape, data.reshape(-1))
    blocks = rng.integers(0, 256, (outputs * inputs // kind.block_values, kind.block_bytes), dtype=np.uint8)
    for place in SCALE_PLACES[kind]:
        scales = (rng.uniform(0.5, 1, len(blocks)) * size / SPREAD[kind] * (-1 if place else 1)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    if kind in (Quantisation.Q4_K, Quantisation.Q5_K):  # weights are d s q - m t: both are positive there
        blocks[:, 3] &= 127
    return StoredTensor(name, kind, shape, blocks.reshape(-1))


def with_kinds(
    config: ModelConfig, weights: dict[str, F32], kinds: tuple[Quantisation, ...], rng: np.random.Generator
) -> dict[str, StoredTensor]:
    """Return the weights' tensors: matrices are random ones, of the kinds in turn; norms and biases stay."""
    found: dict[str, StoredTensor] = {}
    turn = 0
    for name, values in weights.items():
        if values.ndim == 2:
            found[name] = random_stored(name, kinds[turn % len(kinds)], (values.shape[0], values.shape[1]), rng)
            turn += 1
        else:
            found[name] = stored(name, values)
    return found
