"""Rotary position embedding: cosines and sines of a step's positions, and the turn of a head.

Shapes:  frequencies (configurations, pairs) f64, positions (t,) i32 -> turns (t * configurations * 2 * pairs,) f32:
         for each token and configuration the cosines of all pairs, then their sines.
         A head (head_width,) f32 turns its elements i and pairs + i; the rest stay.
Errors:  cosine and sine 1 ulp of f32 for angles below 2^20.
Source:  RoPE (arXiv:2104.09864); reduction by pi/2 in two parts, Taylor series in f64.
"""

import math

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    MutView,
    View,
    f32,
    f64,
    fma,
    i32,
    i64,
    index,
    kernel,
    load,
    round_even,
    store,
)
from hekla.lang.sweep import Sweep

TWO_OVER_PI = 2 / math.pi
HALF_PI_HIGH, HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17


def reference_turns(frequencies, positions, turns):
    """Say it in NumPy."""
    angles = positions[:, None, None] * frequencies[None]
    turns[:] = np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(-1)


@kernel(inline=True)
def small_sine(r: f64) -> f64:
    """Return the sine of r from -pi/4 to pi/4."""
    s = r * r
    p = fma(s, 1.0 / 6227020800.0, -1.0 / 39916800.0)
    p = fma(p, s, 1.0 / 362880.0)
    p = fma(p, s, -1.0 / 5040.0)
    p = fma(p, s, 1.0 / 120.0)
    p = fma(p, s, -1.0 / 6.0)
    return fma(p * s, r, r)


@kernel(inline=True)
def small_cosine(r: f64) -> f64:
    """Return the cosine of r from -pi/4 to pi/4."""
    s = r * r
    p = fma(s, 1.0 / 479001600.0, -1.0 / 3628800.0)
    p = fma(p, s, 1.0 / 40320.0)
    p = fma(p, s, -1.0 / 720.0)
    p = fma(p, s, 1.0 / 24.0)
    p = fma(p, s, -0.5)
    return fma(p, s, 1.0)


@kernel(inline=True)
def turns_of(frequencies: View[f64, 2], position: i32, turns: MutView[f32, 1], first: index):
    """Write the cosines and sines of one token, all configurations, from element `first`."""
    pairs = frequencies.shape[1]
    for c in range(frequencies.shape[0]):
        for i in range(pairs):
            angle = f64(position) * frequencies[c, i]
            quarter = round_even(angle * TWO_OVER_PI)
            r = fma(quarter, -HALF_PI_LOW, fma(quarter, -HALF_PI_HIGH, angle))
            s = small_sine(r)
            k = small_cosine(r)
            way = i64(quarter) & 3
            cosine = k
            sine = s
            if way == 1:
                cosine = -s
                sine = k
            elif way == 2:
                cosine = -k
                sine = -s
            elif way == 3:
                cosine = s
                sine = -k
            turns[first + c * 2 * pairs + i] = f32(cosine)
            turns[first + c * 2 * pairs + pairs + i] = f32(sine)


@kernel
def position_turns(frequencies: View[f64, 2], positions: View[i32, 1], turns: MutView[f32, 1]):
    for t in range(len(positions)):
        turns_of(frequencies, positions[t], turns, t * frequencies.shape[0] * 2 * frequencies.shape[1])


@kernel(inline=True)
def turn_head(x: MutView[f32, 1], at: index, turns: View[f32, 1], first: index, pairs: index, stride: index):
    """Turn the head that begins at element `at`, in place.

    `stride`: from the first cosine to the first sine.
    """
    for i in range(0, pairs, 16):
        left = pairs - i
        cosine = load(turns, first + i, width=16, count=left)
        sine = load(turns, first + stride + i, width=16, count=left)
        one = load(x, at + i, width=16, count=left)
        two = load(x, at + pairs + i, width=16, count=left)
        store(x, at + i, one * cosine - two * sine, count=left)
        store(x, at + pairs + i, two * cosine + one * sine, count=left)


def cases(rng):
    """No token, several; positions far out."""
    made = []
    for t, c, pairs in ((0, 1, 4), (3, 1, 16), (5, 2, 20)):
        frequencies = 10000.0 ** (-np.arange(c * pairs).reshape(c, pairs) / pairs)
        positions = rng.integers(0, 100000, t).astype(np.int32)
        made.append((frequencies, positions, normal(rng, t * c * 2 * pairs)))
    return made


SWEEPS = (Sweep(position_turns, reference_turns, cases, 1e-6, 1e-6),)
