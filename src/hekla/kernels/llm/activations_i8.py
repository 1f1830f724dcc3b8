"""Rows of activations as bytes: each block of 32 gets a scale of its own.

Shapes:  x (n,) f32 -> codes (n,) i8, scales (ceil(n / 32),) f32, sums (ceil(n / 32),) f32,
         half_sums (ceil(n / 16),) f32: of each block, and of each half, scale * sum of the codes.
         x is close to codes * scale; scale = max |x| / 127 of the block; a block of zeros has scale 0.
         n is a multiple of 32.
Errors:  none; at most scale / 2 from x.
Source:  llama.cpp's Q8_1, block by block.
"""

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    MutView,
    View,
    f32,
    i8,
    i32,
    index,
    kernel,
    load,
    reduce_add,
    reduce_max,
    round_even,
    saturate,
    store,
)
from hekla.lang.sweep import Sweep

BLOCK = 32


def reference_quantise(x, codes, scales, sums, half_sums):
    """Say it in NumPy."""
    blocks = x.reshape(-1, BLOCK)
    top = np.abs(blocks).max(axis=1, initial=0)
    inverse = np.divide(np.float32(127), top, out=np.zeros_like(top), where=top > 0)
    whole = np.rint(blocks * inverse[:, None]).clip(-127, 127)
    codes[:] = whole.reshape(-1)
    scales[:] = top * np.float32(1 / 127)
    sums[:] = whole.sum(axis=1) * scales
    half_sums[:] = (whole.reshape(-1, 2, 16).sum(axis=2) * scales[:, None]).reshape(-1)


@kernel(inline=True)
def quantise_row(
    x: View[f32, 1],
    n: index,
    codes: MutView[i8, 1],
    scales: MutView[f32, 1],
    sums: MutView[f32, 1],
    half_sums: MutView[f32, 1],
):
    for b in range(n // BLOCK):
        low = load(x, b * BLOCK, width=16)
        high = load(x, b * BLOCK + 16, width=16)
        top = reduce_max(max(abs(low), abs(high)))
        inverse = f32(0.0)
        if top > 0.0:
            inverse = 127.0 / top
        scale = top * (1.0 / 127.0)
        first = i32(round_even(low * inverse))
        second = i32(round_even(high * inverse))
        store(codes, b * BLOCK, saturate(i8, first))
        store(codes, b * BLOCK + 16, saturate(i8, second))
        first_sum = f32(reduce_add(first))
        second_sum = f32(reduce_add(second))
        scales[b] = scale
        sums[b] = (first_sum + second_sum) * scale
        half_sums[2 * b] = first_sum * scale
        half_sums[2 * b + 1] = second_sum * scale


@kernel
def quantise_activations(
    x: View[f32, 1], codes: MutView[i8, 1], scales: MutView[f32, 1], sums: MutView[f32, 1], half_sums: MutView[f32, 1]
):
    quantise_row(x, len(x), codes, scales, sums, half_sums)


def cases(rng):
    """No block, one, several; one of zeros."""
    made = []
    for n in (0, 32, 96, 576):
        x = normal(rng, n) * 3
        x[32:64] = 0
        f = [np.zeros(n // w, np.float32) for w in (32, 32, 16)]
        made.append((x, np.zeros(n, np.int8), *f))
    return made


SWEEPS = (Sweep(quantise_activations, reference_quantise, cases, 1e-6, 1e-6),)
