"""4-bit integers, two to a byte: packing, unpacking, and dequantising with a scale for each group.

Shapes:  pack_i4: values (n,) i8 from -8 to 7 -> packed (ceil(n / 2),) u8;  unpack_i4: the way back.
         dequantise_i4: packed (rows, n / 2) u8, scale (rows, n / 32) f32 -> out (rows, n) f32, n a multiple of 32.
Format:  element 2i is in the low half of byte i, 2i + 1 in the high half; two's complement. Of an odd n the last
         high half is 0. Values outside of -8 to 7 keep their low four bits.
Errors:  none: the products of a 4-bit integer and an f32 are rounded once.
Source:  ONNX INT4 (onnx/docs/docsgen/source/technical/int4.md): "the first element is stored in the 4 least bits".
"""

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import MutView, Vec, View, bitcast, f32, i8, index, kernel, load, shuffle, store, u8
from hekla.lang.sweep import Sweep

BYTES, LANES, GROUP = 32, 64, 32  # bytes and elements at once, elements of one scale
EVEN, ODD = range(0, LANES, 2), range(1, LANES, 2)
BETWEEN = tuple(BYTES * (i % 2) + i // 2 for i in range(LANES))  # lanes of two vectors in turn
HALF_BETWEEN = tuple(GROUP // 2 * (i % 2) + i // 2 for i in range(GROUP))


def reference_pack_i4(values, packed):
    """Say it in NumPy."""
    halves = np.zeros(2 * len(packed), np.uint8)
    halves[: len(values)] = values.view(np.uint8) & 15
    packed[:] = halves[::2] | halves[1::2] << 4


def reference_unpack_i4(packed, values):
    """Say it in NumPy."""
    halves = (
        np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], 2 * packed.shape[-1]).astype(np.int8)
    )
    values[...] = (halves - 16 * (halves > 7))[..., : values.shape[-1]]


def reference_dequantise_i4(packed, scale, out):
    """Say it in NumPy."""
    values = np.zeros(out.shape, np.int8)
    reference_unpack_i4(packed, values)
    out[:] = values * np.repeat(scale, GROUP, axis=1)


@kernel(inline=True)
def unpacked(bytes_: Vec[u8, BYTES]) -> Vec[i8, LANES]:
    """Return the elements of these bytes: each half brought to the top, then shifted down with its sign."""
    low = bitcast(i8, bytes_ << 4) >> 4
    return shuffle(low, bitcast(i8, bytes_) >> 4, indices=BETWEEN)


@kernel
def pack_i4(values: View[i8, 1], packed: MutView[u8, 1]):
    n = len(values)
    for i in range(0, n, LANES):
        v = bitcast(u8, load(values, i, width=LANES, count=n - i)) & 15
        pairs = shuffle(v, indices=EVEN) | (shuffle(v, indices=ODD) << 4)
        store(packed, i // 2, pairs, count=len(packed) - i // 2)


@kernel
def unpack_i4(packed: View[u8, 1], values: MutView[i8, 1]):
    n = len(values)
    m = len(packed)
    for i in range(0, n, LANES):
        store(values, i, unpacked(load(packed, i // 2, width=BYTES, count=m - i // 2)), count=n - i)


@kernel(inline=True)
def one_group(packed: View[u8, 1], factor: f32, out: MutView[f32, 1], i: index):
    v = load(packed, i // 2, width=GROUP // 2)
    low = bitcast(i8, v << 4) >> 4
    both = shuffle(low, bitcast(i8, v) >> 4, indices=HALF_BETWEEN)
    store(out, i, f32(both) * factor)


@kernel
def dequantise_i4(packed: View[u8, 2], scale: View[f32, 2], out: MutView[f32, 2]):
    for r in range(out.shape[0]):
        row = packed[r]
        factors = scale[r]
        target = out[r]
        for g in range(len(factors)):
            one_group(row, factors[g], target, g * GROUP)


def pack_cases(rng):
    """Sizes around the lanes; values over the whole range of i8, of which the low half counts."""
    return [(normal(rng, (n,), np.int8), np.zeros((n + 1) // 2, np.uint8)) for n in around(LANES)]


def unpack_cases(rng):
    """Every byte there is, and sizes around the lanes."""
    sizes = [(normal(rng, ((n + 1) // 2,), np.uint8), np.zeros(n, np.int8)) for n in around(LANES)]
    return [*sizes, (np.arange(256, dtype=np.uint8), np.zeros(512, np.int8))]


def dequantise_cases(rng):
    """No row, no column, one group and several."""
    return [
        (
            normal(rng, (rows, groups * GROUP // 2), np.uint8),
            normal(rng, (rows, groups)),
            np.zeros((rows, groups * GROUP), np.float32),
        )
        for rows, groups in ((0, 1), (2, 0), (1, 1), (3, 5))
    ]


SWEEPS = (
    Sweep(pack_i4, reference_pack_i4, pack_cases),
    Sweep(unpack_i4, reference_unpack_i4, unpack_cases),
    Sweep(dequantise_i4, reference_dequantise_i4, dequantise_cases),
)
