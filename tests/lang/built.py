"""Kernels that test_products.py builds for every target."""

from hekla.lang import (
    Array,
    Atomic,
    Mutex,
    MutView,
    Vec,
    View,
    atomic_add,
    atomic_load,
    bitcast,
    buffer,
    f16,
    f32,
    f64,
    fma,
    i8,
    i32,
    i64,
    index,
    iota,
    kernel,
    load,
    lock,
    parallel,
    reduce_add,
    region,
    select,
    store,
    struct,
    u8,
    u32,
    u64,
    vectorize,
)
from hekla.lang import dot4 as integer_dot
from hekla.lang.math import exp


@kernel
def noise(x: MutView[f32, 1]):
    """Numbers from -1 to 1 that no compiler can foresee."""
    state = u32(12345)
    for i in range(len(x) * 50):
        state = state * 1664525 + 1013904223
        x[i % len(x)] = f32(state >> 8) / 8388608.0 - 1.0


@kernel
def dot(x: View[f32, 1], y: View[f32, 1]) -> f32:
    total = Vec[f32, 8](0.0)
    n = len(x)
    for i in range(0, n, 8):
        total = fma(load(x, i, width=8, count=n - i), load(y, i, width=8, count=n - i), total)
    return reduce_add(total)


@kernel
def floats() -> i32:
    x = buffer(f32, 1003)
    noise(x.mut())
    r = region(8192)
    y = r.take(f32, 1003)
    for i in range(len(x)):
        y[i] = exp(x[i]) + f32(f16(x[i]))
    return i32(dot(x.view(), y) * 8.0) & 127


@kernel
def integers() -> i32:
    x = buffer(f32, 64)
    noise(x.mut())
    a = Array[u8, 64](0)
    b = Array[i8, 64](0)
    for i in range(64):
        a[i] = u8((x[i] + 1.0) * 127.0)
        b[i] = i8(x[i] * 100.0)
    lanes = integer_dot(Vec[i32, 16](3), load(a.view(), 0, width=64), load(b.view(), 0, width=64))
    lanes = select(lanes > 0, lanes, 0 - lanes // 7) + iota(i32, width=16)
    out = Array[i32, 16](0)
    store(out.mut(), 0, lanes)
    total = i32(0)
    for i in range(16):
        total += out[i] % i32(i + 1)
    return total & 127


@kernel
def owned() -> i32:
    total = i32(0)
    x = buffer(f32, 64)
    noise(x.mut())
    for i in range(64):
        b = buffer(i32, 100)
        b[i] = i32(x[i] * 10.0)
        r = region(4096)
        c = r.take(i32, 64)
        c[i] = b[i]
        total += c[i] + b[99] + c[63 - i]
    return total & 127


@kernel
def side_by_side() -> i32:
    x = buffer(f32, 64)
    noise(x.mut())
    a = buffer(i32, 64)
    v = a.mut()
    seen = x.view()
    for i in parallel(64):
        v[i] = i32(seen[i] * f32(i))
    total = i32(0)
    for i in range(64):
        total += a[i]
    return total & 127


@kernel
def full() -> i32:
    x = buffer(f32, 64)
    noise(x.mut())
    r = region(64)
    a = r.take(f64, 9 + index(x[0] * 0.5))
    return i32(a[0])


@kernel
def conversions() -> i32:
    """64-bit integers to floats and back, at every size, so that rounding is met both ways."""
    state = u64(88172645463325252)
    total = i64(0)
    for i in range(3000):
        state = state * 6364136223846793005 + 1442695040888963407
        whole = state >> u64(i % 60)
        signed = bitcast(i64, state) >> i64(i % 60)
        total += i64(bitcast(i32, f32(whole))) + i64(bitcast(i32, f32(signed)))
        total += bitcast(i64, f64(whole)) + bitcast(i64, f64(signed))
        total += i64(f32(signed)) + i64(f64(signed)) + bitcast(i64, u64(f32(whole))) + bitcast(i64, u64(f64(whole)))
    return i32(total >> 40) & 127


@vectorize(arch="native")
def scale(a: f32, x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] = a * x[i]


@vectorize(arch="avx2")
def carried(x: MutView[f32, 1]):
    for i in range(1, len(x)):
        x[i] = x[i - 1] * 2.0


@kernel
def together() -> i32:
    """How many of four iterations saw all four at work at once: 4 with four threads, fewer with fewer."""
    arrived = buffer(i64, 1)
    met = buffer(i64, 1)
    a = arrived.mut()
    m = met.mut()
    for _ in parallel(4):
        atomic_add(a, 0, 1)
        turns = i64(0)
        while atomic_load(a, 0) < 4 and turns < 100000000:
            turns += 1
        if atomic_load(a, 0) == 4 and turns < 100000000:
            atomic_add(m, 0, 1)
    return i32(met[0])


@kernel
def churned() -> i32:
    """Memory taken and given back by all threads at once, in sizes that differ."""
    out = buffer(i64, 1)
    o = out.mut()
    for i in parallel(2000):
        a = buffer(i64, 1 + i % 97)
        r = region(4096)
        b = r.take(i64, 1 + i % 31)
        a[i % 97] = i64(i)
        b[i % 31] = i64(i)
        atomic_add(o, 0, a[i % 97] + b[i % 31] + a[0] * 0)
    return i32(out[0] % 251)


@kernel
def many_loops() -> i32:
    """Loops one after the other: the pool starts once and serves all."""
    x = buffer(f32, 64)
    noise(x.mut())
    total = i32(0)
    a = buffer(i32, 64)
    for turn in range(300):
        v = a.mut()
        seen = x.view()
        for i in parallel(64):
            v[i] += i32(seen[i] * f32(i + turn))
    for i in range(64):
        total += a[i]
    return total & 127


@kernel
def thread_sum(x: View[f32, 2], out: MutView[f32, 1]):
    for i in parallel(x.shape[0]):
        scratch = buffer(f32, x.shape[1])
        total = f32(0.0)
        for j in range(x.shape[1]):
            scratch[j] = x[i, j]
            total += scratch[j]
        out[i] = total


@kernel
def fused_bits() -> i32:
    """Bits of fused results of f64, lane by lane and one by one, whose products and sums round."""
    state = u64(88172645463325252)
    seen = u64(0)
    for i in range(400):
        state = state * 6364136223846793005 + 1442695040888963407
        a = bitcast(f64, (state >> 12) | (u64(1013 + i % 20) << 52))
        state = state * 6364136223846793005 + 1442695040888963407
        b = bitcast(f64, (state >> 12) | (u64(1003 + i % 40) << 52))
        c = 0.0 - a * b
        one = fma(a, b, c)
        lanes = fma(Vec[f64, 2](a), Vec[f64, 2](b), one * 3.0)
        seen = seen * 31 + bitcast(u64, one) + bitcast(u64, lanes[1])
    return i32(seen >> 57)


@kernel
def collatz() -> i32:
    """Whole numbers only, for machines without floats: steps from 27 to 1."""
    n = u64(27)
    steps = i32(0)
    for _ in range(112):
        if n != 1:
            if n % 2 == 0:
                n = n >> 1
            else:
                n = n * 3 + 1
            steps += 1
    return steps


@struct
class Tally:
    """What many threads count under one lock."""

    count: i64
    sum: i64


@kernel
def locked() -> i32:
    """1 where no thread lost what another had added."""
    shared = Array[Mutex[Tally], 2](Tally(count=0, sum=0))
    counts = Array[Atomic[i64], 1](0)
    tallies = shared.view()
    turns = counts.view()
    for i in parallel(20000):
        with lock(tallies[1]) as tally:
            tally.count += 1
            tally.sum += i64(i)
        turns[0].add(1, order="relaxed")
    with lock(tallies[1]) as tally:
        return i32(1) if tally.count == 20000 and tally.sum == 199990000 and turns[0].load() == 20000 else i32(0)
