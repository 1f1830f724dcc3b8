"""Reductions of parallel loops: one result for any number of threads, and the interpreter's."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,attr-defined,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import numpy as np
import pytest

from hekla.lang import (
    MutView,
    Vec,
    View,
    f32,
    fma,
    i64,
    kernel,
    load,
    parallel,
    reduce_add,
    u32,
)  # fmt: skip
from hekla.lang.llvm.pool import ThreadPool


@kernel
def stats(x: View[f32, 1], out: MutView[f32, 1]) -> f32:
    total = f32(0.0)
    low = x[0]
    high = x[0]
    count = i64(7)
    for i in parallel(len(x), reduce_add=(total, count), reduce_min=low, reduce_max=high):
        total += x[i] * x[i]
        low = min(low, x[i])
        high = max(x[i], high)
        if x[i] > 0.5:
            count += 1
    out[0] = low
    out[1] = high
    out[2] = f32(count)
    return total


@kernel
def dot(x: View[f32, 1], y: View[f32, 1]) -> f32:
    n = len(x)
    total = Vec[f32, 16](0.0)
    for block in parallel((n + 15) // 16, reduce_add=total):
        i = block * 16
        total = fma(load(x, i, width=16, count=n - i), load(y, i, width=16, count=n - i), total)
    return reduce_add(total)


@kernel
def least(x: View[u32, 1], start: u32) -> u32:
    for i in parallel(len(x), reduce_min=start):
        for _ in range(2):
            start = min(start, x[i])
    return start


@kernel
def zero(x: View[f32, 1]) -> f32:
    total = f32(-0.0)
    for i in parallel(len(x), reduce_add=total):
        total += x[i]
    return total


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 129, 1000])
def test_a_reduction_is_the_same_with_any_number_of_threads_and_by_definition(size: int) -> None:
    x = np.random.default_rng(size).random(size, np.float32)
    pools = [ThreadPool(0), ThreadPool(3)]
    ways = [stats.with_options(pool=p) for p in pools] + [stats.with_options(optimise=False), stats.compile().interpret]
    outs = [np.zeros(3, np.float32) for _ in ways]
    assert len({float(way(x, out)) for way, out in zip(ways, outs, strict=True)}) == 1
    assert outs[0].tolist() == [x.min(), x.max(), 7 + (x > 0.5).sum()]
    assert all(out.tolist() == outs[0].tolist() for out in outs)
    assert stats(x, outs[0]) == pytest.approx(float((x.astype(float) ** 2).sum()), rel=1e-5)
    vector = [dot.with_options(pool=p) for p in pools] + [dot.with_options(optimise=False), dot.compile().interpret]
    assert len({float(way(x, x)) for way in vector}) == 1


def test_the_order_of_the_sum_is_that_of_64_runs() -> None:
    x = np.random.default_rng(0).random(1000, np.float32)
    total = np.float32(0)
    begin = 0
    for run in range(64):
        end = begin + 1000 // 64 + (run < 1000 % 64)
        part = np.float32(-0.0)
        for value in x[begin:end]:
            part += value * value
        total += part
        begin = end
    assert stats(x, np.zeros(3, np.float32)) == total


def test_nothing_to_reduce_leaves_the_variable_as_it_was() -> None:
    assert least(np.zeros(0, np.uint32), 5) == 5
    assert least(np.array([9, 3, 7], np.uint32), 5) == 3
    assert np.signbit(zero(np.zeros(0, np.float32)))
    assert np.signbit(zero(np.full(70, -0.0, np.float32)))
