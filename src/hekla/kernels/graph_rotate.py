"""A fixed random rotation of vectors, without a matrix: signs, Hadamard transforms and butterflies.

After it the size of each coordinate says nothing about the vector, so that one bit per coordinate is a fair code.

Shapes:  rows (m, n) f32, mean (n,) f32, signs (4, w) f32 of +1 and -1, w a multiple of 64 not below n
         -> out (m, w) f32: scale * rotation(row - mean), padded with zeros before it is rotated.
Errors:  lengths and distances are kept to 1e-6 relative, about.
Cost:    4 w (log2 w + 2) additions; no matrix is read.
Method:  four rounds: flip signs, a Hadamard transform of the largest power of two (of the first and of the last
         coordinates in turn), then sums and differences of the two halves.
Source:  Gao and Long, "RaBitQ", SIGMOD 2024; the rounds are those of its authors' library (FHT and Kac's walk).
"""

import numpy as np

from hekla.kernels.sizes import normal
from hekla.lang import (
    MutView,
    Vec,
    View,
    f32,
    fma,
    index,
    iota,
    kernel,
    load,
    parallel,
    select,
    shuffle,
    sqrt,
    store,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES = 16
ROUNDS = 4
TURNS = tuple(tuple(j ^ (1 << p) for j in range(LANES)) for p in range(4))  # lanes that meet in the last steps


def rotation_signs(width: int, seed: int) -> np.ndarray:
    """Return the (4, width) f32 signs of a rotation."""
    return np.random.default_rng(seed).integers(0, 2, (ROUNDS, width)).astype(np.float32) * 2 - 1


def reference_hadamard(x):
    """Say it in NumPy."""
    h = 1
    while h < len(x):
        pairs = x.reshape(-1, 2, h)
        x = np.stack((pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]), axis=1).reshape(-1)
        h *= 2
    return x


def reference_rotate_rows(rows, mean, signs, scale, out):
    """Say it in NumPy."""
    width = out.shape[1]
    part = 1 << (width.bit_length() - 1)
    for row, to in zip(rows, out, strict=True):
        x = np.zeros(width)
        x[: len(row)] = row - mean
        for number in range(ROUNDS):
            x = x * signs[number]
            first = 0 if number % 2 == 0 else width - part
            x[first : first + part] = reference_hadamard(x[first : first + part]) / np.sqrt(part)
            half = width // 2
            x = np.concatenate((x[:half] + x[half:], x[:half] - x[half:])) / np.sqrt(2)
        to[:] = x * scale


@kernel(inline=True)
def hadamard(x: MutView[f32, 1], first: index, n: index, shrink: f32):
    """Transform x[first : first + n] in place and multiply by `shrink`; n is a power of two, 64 at least."""
    h = LANES
    while h < n:
        for block in range(n // (2 * h)):
            base = first + 2 * h * block
            for i in range(base, base + h, LANES):
                a = load(x, i, width=LANES)
                b = load(x, i + h, width=LANES)
                store(x, i, a + b)
                store(x, i + h, a - b)
        h *= 2
    lane = iota(index, width=LANES)
    for i in range(first, first + n, LANES):
        v = load(x, i, width=LANES)
        for p in unroll(range(4)):
            turned = shuffle(v, indices=TURNS[p])
            v = fma(v, select((lane & (1 << p)) == 0, Vec[f32, LANES](1.0), Vec[f32, LANES](-1.0)), turned)
        store(x, i, v * shrink)


@kernel(inline=True)
def rotate(row: View[f32, 1], mean: View[f32, 1], signs: View[f32, 2], scale: f32, out: MutView[f32, 1]):
    """Rotate one row; see the top of the file."""
    n = len(row)
    width = len(out)
    half = width // 2
    part = 64
    while 2 * part <= width:
        part *= 2
    shrink = 1.0 / sqrt(f32(part))
    for i in range(0, width, LANES):
        at = min(i, n)
        difference = load(row, at, width=LANES, count=n - i) - load(mean, at, width=LANES, count=n - i)
        store(out, i, difference * (scale * 0.25))  # the sums and differences of four rounds make it 4 times as long
    for number in unroll(range(ROUNDS)):
        for i in range(0, width, LANES):
            store(out, i, load(out, i, width=LANES) * load(signs, number, i, width=LANES))
        hadamard(out, 0 if number % 2 == 0 else width - part, part, shrink)
        for i in range(0, half, LANES):
            a = load(out, i, width=LANES)
            b = load(out, i + half, width=LANES)
            store(out, i, a + b)
            store(out, i + half, a - b)


@kernel
def rotate_rows(rows: View[f32, 2], mean: View[f32, 1], signs: View[f32, 2], scale: f32, out: MutView[f32, 2]):
    for i in parallel(rows.shape[0]):
        rotate(rows[i], mean, signs, scale, out[i])


def cases(rng):
    """Widths that are a power of two and not, rows that fill them and not."""
    return [
        (
            normal(rng, (m, n)), normal(rng, (n,)), rotation_signs(width, 3), np.float32(scale),
            np.zeros((m, width), np.float32),
        )
        for m, n, width, scale in (
            (0, 5, 64, 1.0), (1, 64, 64, 2.0), (3, 1, 64, 1.0), (2, 100, 128, 0.5), (2, 130, 192, 1.0),
        )
    ]  # fmt: skip


SWEEPS = (Sweep(rotate_rows, reference_rotate_rows, cases, 1e-4, 1e-4),)
