# mypy: ignore-errors
# the kernels below are written in Hekla's language, which has a type checker of its own
"""What the machine can do, measured by kernels that do nothing else."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.lang.timing import time_in_turns
from hekla.lang import (
    Array,
    MutView,
    Vec,
    View,
    dot4,
    f32,
    fma,
    i8,
    i32,
    index,
    kernel,
    load,
    reduce_add,
    store,
    u8,
    unroll,
)

CHAINS, LANES, TURNS = 24, 16, 20000


@kernel
def multiply_adds(x: View[f32, 1], turns: index, out: MutView[f32, 1]):
    sums = Array[Vec[f32, LANES], CHAINS](0.0)
    a = load(x, 0, width=LANES)
    b = load(x, LANES, width=LANES)
    for r in unroll(range(CHAINS)):
        sums[r] = load(x, r * LANES, width=LANES)
    for _i in range(turns):
        for r in unroll(range(CHAINS)):
            sums[r] = fma(sums[r], a, b)
    for r in unroll(range(CHAINS)):
        store(out, r * LANES, sums[r])


@kernel
def byte_products(x: View[u8, 1], y: View[i8, 1], turns: index, out: MutView[i32, 1]):
    sums = Array[Vec[i32, LANES], CHAINS](0)
    a = load(x, 0, width=4 * LANES)
    b = load(y, 0, width=4 * LANES)
    for _i in range(turns):
        for r in unroll(range(CHAINS)):
            sums[r] = dot4(sums[r], a, b)
    for r in unroll(range(CHAINS)):
        store(out, r * LANES, sums[r])


@kernel
def read(x: View[f32, 1], turns: index) -> f32:
    totals = Array[Vec[f32, LANES], 8](0.0)
    for _turn in range(turns):
        for i in range(0, len(x) - 127, 128):
            for p in unroll(range(8)):
                totals[p] = totals[p] + load(x, i + p * LANES, width=LANES)
    for p in unroll(range(1, 8)):
        totals[0] += totals[p]
    return reduce_add(totals[0])


@kernel
def copy(x: View[f32, 1], y: MutView[f32, 1]):
    for i in range(0, len(x) - 63, 64):
        store(y, i, load(x, i, width=64))


@dataclass(frozen=True, slots=True)
class Limits:
    """Per second: f32 operations and byte operations of one thread, and bytes."""

    flops: float
    byte_ops: float
    read_bytes: dict[str, float]
    copy_bytes: float


def measure_limits(seconds: float) -> Limits:
    """Measure this machine, one thread."""
    x, out = np.zeros(CHAINS * LANES, np.float32), np.zeros(CHAINS * LANES, np.float32)
    a, b, sums = np.ones(64, np.uint8), np.ones(64, np.int8), np.zeros(CHAINS * LANES, np.int32)
    far, target = np.zeros(32 << 20, np.float32), np.zeros(32 << 20, np.float32)
    sizes = {"L1, 16 KiB": far[: 4 << 10], "L2, 512 KiB": far[: 128 << 10], "memory, 128 MiB": far}
    flops, byte_ops = time_in_turns(
        [partial(multiply_adds, x, TURNS, out), partial(byte_products, a, b, TURNS, sums)], seconds
    )
    reads = time_in_turns([partial(read, v, far.size // v.size) for v in sizes.values()], seconds)
    (copied,) = time_in_turns([partial(copy, far, target)], seconds)
    return Limits(
        2 * LANES * CHAINS * TURNS / flops.best,
        8 * LANES * CHAINS * TURNS / byte_ops.best,
        {name: far.nbytes / t.best for name, t in zip(sizes, reads, strict=True)},
        2 * far.nbytes / copied.best,
    )
