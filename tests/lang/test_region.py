"""Regions: memory handed out piece by piece and freed as a whole."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import resource
from typing import Any

import numpy as np
import pytest

from hekla.lang import CheckError, MutView, drop, f32, f64, index, kernel, parallel, region, split, struct, u8, unroll
from hekla.lang.errors import ArgumentError


@kernel
def pieces(out: MutView[f64, 1], size: index, n: index):
    r = region(size)
    a = r.take(f32, n)
    b = r.take(u8, 3)
    c = r.take(f64, n)
    for i in range(n):
        a[i] = 1.0
        c[i] += 2.0
    b[2] += 5
    for i in range(n):
        out[i] = f64(a[i]) * 100.0 + f64(b[2]) * 10.0 + c[i]


@kernel
def rows(x: MutView[f32, 2]):
    for row in parallel(x.shape[0]):
        r = region(4096)
        scratch = r.take(f32, x.shape[1])
        for i in range(x.shape[1]):
            scratch[i] = x[row, x.shape[1] - 1 - i]
        for i in range(x.shape[1]):
            x[row, i] = scratch[i]


@kernel
def much(turns: index) -> f32:
    total = f32(0.0)
    for _ in range(turns):
        r = region(1048576)
        a = r.take(f32, 262144)
        total += a[262143]
        a[262143] = 1.0
    return total


@kernel
def one(n: index) -> f32:
    r = region(1024)
    return r.take(f32, n)[0]


@kernel
def again(n: index) -> f32:
    t = f32(0.0)
    r = region(64)
    for _ in range(n):
        r = region(64)
        a = r.take(f32, 16)
        t += a[3]
        a[3] = 5.0
    return t


@kernel
def unrolled(n: index) -> f32:
    r = region(4096)
    t = f32(0.0)
    for j in unroll(range(4)):
        a = r.take(f32, n)
        a[0] = f32(j)
        t += a[0]
    return t


@kernel
def branch(n: index) -> f32:
    r = region(64)
    if n > 3:
        drop(r)
        return 1.0
    a = r.take(f32, 2)
    return a[1] + 2.0


@struct
class P:
    a: f32
    b: u8


@kernel
def records(n: index) -> f32:
    r = region(4096)
    p = r.take(P, n)
    for i in range(n):
        p[i].a += f32(i)
        p[i].b = 3
    return p[n - 1].a + f32(p[0].b)


@kernel
def sub(x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] += 1.0


@kernel
def lend(n: index) -> f32:
    r = region(4096)
    a = r.take(f32, n)
    left, right = split(a, n // 2)
    sub(left)
    sub(right)
    sub(a[1:3])
    return a[0] + a[1] + a[n - 1]


def ways(program: Any) -> list[Any]:
    """Return the interpreter, unoptimised, optimised and checked forms of a kernel."""
    forms = [program, program.with_options(optimise=False), program.with_options(checked=True)]
    return [program.compile().interpret, *forms]


@pytest.mark.parametrize("n", [0, 1, 16, 17])
def test_pieces_are_zeroed_and_apart_in_every_form(n: int) -> None:
    for run in ways(pieces):
        out = np.zeros(n)
        run(out, 4096, n)
        assert (out == 152).all()


@pytest.mark.parametrize(("size", "line"), [(0, 18), (66, 19), (135, 20)])
def test_a_full_region_is_a_fault_at_the_take_that_did_not_fit(size: int, line: int) -> None:
    for run in ways(pieces):
        with pytest.raises(CheckError, match="the region is full") as caught:
            run(np.zeros(1), size, 1)
        assert caught.value.span.line == line


def test_the_smallest_region_that_fits_is_exact() -> None:
    for run in ways(pieces):
        run(np.zeros(1), 136, 1)  # 4 bytes, 3 bytes at 64, 8 bytes at 128


def test_each_iteration_of_a_parallel_loop_may_have_its_own() -> None:
    x = np.arange(60, dtype=np.float32).reshape(5, 12)
    expected = x[:, ::-1].copy()
    rows(x)
    assert (x == expected).all()


def test_regions_are_freed_on_every_turn() -> None:
    much(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert much(200) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; 200 regions are 200,000


def test_impossible_sizes_are_faults_and_not_crashes() -> None:
    for run in ways(pieces)[1:]:
        with pytest.raises(CheckError, match="out of memory"):
            run(np.zeros(1), 2**62, 1)
        with pytest.raises(CheckError, match="the region is full"):
            run(np.zeros(1), 4096, 2**61)


CASES = [(one, 3, 0), (again, 4, 0), (unrolled, 5, 6), (branch, 1, 2), (branch, 5, 1), (records, 6, 8), (lend, 8, 4)]


@pytest.mark.parametrize(("program", "n", "expected"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_pieces_are_lent_split_and_taken_again_in_every_form(program: Any, n: int, expected: float) -> None:
    for run in ways(program):
        assert run(n) == expected


@kernel
def scratch(r: region, n: index) -> MutView[f32, 1]:
    return r.take(f32, n)


@kernel
def doubled_sum(r: region, x: MutView[f32, 1]) -> f32:
    t = scratch(r, len(x))
    for i in range(len(x)):
        t[i] = x[i] * 2.0
    total = f32(0.0)
    for i in range(len(x)):
        total += t[i]
    return total


@kernel
def lends(x: MutView[f32, 1], turns: index, size: index) -> f32:
    r = region(size)
    kept = scratch(r, 16)
    kept[3] = 5.0
    total = f32(0.0)
    for _ in range(turns):
        total += doubled_sum(r, x)
    return total + kept[3]


@kernel
def keeps(turns: index) -> f32:
    r = region(1024)
    total = f32(0.0)
    for _ in range(turns):
        a = scratch(r, 16)
        total += a[0]
        a[0] = 1.0
    return total


def test_a_lent_region_gets_back_what_the_callee_took() -> None:
    x = np.ones(10, np.float32)
    for run in (lends, lends.compile().interpret, lends.with_options(checked=True)):
        assert run(x, 1000, 256) == 20005


def test_a_lent_region_keeps_what_the_callee_returned() -> None:
    for run in (keeps, keeps.compile().interpret):
        assert run(16) == 0
        with pytest.raises(CheckError, match="the region is full"):
            run(17)


def test_a_full_region_is_blamed_on_the_line_that_takes() -> None:
    with pytest.raises(CheckError, match="the region is full") as caught:
        lends(np.ones(100, np.float32), 1, 256)
    assert caught.value.span.line_text().strip() == "return r.take(f32, n)"


def test_python_cannot_lend_a_region() -> None:
    with pytest.raises(ArgumentError, match="cannot be called from Python: parameter 'r' is region"):
        scratch(1, 2)
