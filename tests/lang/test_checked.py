"""Checked builds and the interpreter meet the same faults at the same places."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hekla.lang import (
    Array,
    Buffer,
    CheckError,
    Kernel,
    MutView,
    View,
    buffer,
    f32,
    gather,
    i8,
    i32,
    index,
    kernel,
    load,
    store,
)


@kernel
def element(x: MutView[f32, 1], i: index):
    x[i] = 1.0


@kernel
def lanes(x: MutView[f32, 1], i: index):
    store(x, i, load(x, 0, width=4))


@kernel
def masked(x: MutView[f32, 1], i: index):
    store(x, i, load(x, 0, width=4), count=2)


@kernel
def sliced(x: MutView[f32, 1], i: index):
    part = x[i:8]
    part[0] = 1.0


@kernel
def called(x: MutView[f32, 1], i: index):
    element(x, i)


@kernel
def add(a: i8, b: i8) -> i8:
    return a + b


@kernel
def divide(a: i32, b: i32) -> i32:
    return a // b


@kernel
def nan(a: f32, b: f32) -> f32:
    return a - b


@kernel
def gathered(x: View[f32, 1], places: View[i32, 1]) -> f32:
    return gather(x, load(places, 0, width=4))[0]


@kernel
def allocate(n: index) -> f32:
    b = buffer(f32, n)
    return b[0]


@kernel
def filled_in_a_loop(n: index) -> f32:
    s = f32(0)
    for i in range(n):
        a = Array[f32, 4000](1.0)
        s += a[i % 4000]
    return s


GOOD: list[tuple[Kernel, tuple[Any, ...]]] = [
    (element, (np.zeros(8, np.float32), 7)),
    (lanes, (np.zeros(8, np.float32), 4)),
    (masked, (np.zeros(8, np.float32), 6)),
    (sliced, (np.zeros(8, np.float32), 7)),
    (called, (np.zeros(8, np.float32), 0)),
    (add, (100, 27)),
    (divide, (-7, 2)),
    (nan, (np.inf, 1.0)),
    (nan, (np.nan, 1.0)),
    (gathered, (np.zeros(8, np.float32), np.array([0, 7, 3, 3], np.int32))),
]
BAD: list[tuple[Kernel, tuple[Any, ...], str, str]] = [
    (element, (np.zeros(8, np.float32), 8), "x[i]", "an index is out of bounds"),
    (element, (np.zeros(8, np.float32), -1), "x[i]", "an index is out of bounds"),
    (lanes, (np.zeros(8, np.float32), 5), "store(", "a lane is out of bounds"),
    (masked, (np.zeros(8, np.float32), 7), "store(", "a lane is out of bounds"),
    (sliced, (np.zeros(7, np.float32), 1), "x[i:8]", "a slice is out of bounds"),
    (called, (np.zeros(8, np.float32), 9), "x[i]", "an index is out of bounds"),
    (add, (100, 28), "a + b", "an overflow of i8"),
    (divide, (1, 0), "a // b", "a division by 0"),
    (nan, (np.inf, np.inf), "a - b", "a NaN was made of numbers"),
    (gathered, (np.zeros(8, np.float32), np.array([0, 8, 3, 3], np.int32)), "gather(", "a lane is out of bounds"),
]


def ways(tested: Kernel) -> list[Callable[..., Any]]:
    """Return the checked kernel run by LLVM, optimised and not, and by the interpreter."""
    checked = tested.with_options(checked=True)
    return [checked, tested.with_options(checked=True, optimise=False), checked.compile().interpret]


@pytest.mark.parametrize(("tested", "arguments"), GOOD)
def test_a_good_call_passes_its_checks(tested: Kernel, arguments: tuple[Any, ...]) -> None:
    for run in ways(tested):
        run(*arguments)


@pytest.mark.parametrize(("tested", "arguments", "where", "message"), BAD)
def test_a_fault_names_its_line(tested: Kernel, arguments: tuple[Any, ...], where: str, message: str) -> None:
    for run in ways(tested):
        with pytest.raises(CheckError) as caught:
            run(*arguments)
        assert caught.value.message == message
        span = caught.value.span
        assert span.line_text()[span.column - 1 :].startswith(where)
        assert span.file == __file__


@pytest.mark.parametrize("bytes_wanted", [1 << 62, 1 << 44])
def test_a_buffer_that_cannot_be_had_is_a_fault_in_every_build(bytes_wanted: int) -> None:
    assert allocate(10) == 0
    with pytest.raises(CheckError, match="out of memory") as caught:
        allocate(bytes_wanted)
    assert caught.value.span.line_text().strip() == "b = buffer(f32, n)"


def test_an_array_in_a_loop_takes_its_stack_once() -> None:
    for optimise in (False, True):
        assert filled_in_a_loop.with_options(optimise=optimise)(3000) == 3000


def test_negative_lengths_are_empty_buffers() -> None:
    @kernel
    def length(n: index) -> index:
        b = buffer(f32, n)
        return len(b)

    assert [length(n) for n in (-5, 0, 7)] == [0, 0, 7]


@kernel
def read_last(x: View[f32, 1]) -> f32:
    b = buffer(f32, len(x))
    for i in range(len(x)):
        b[i] = x[i] * 2.0
    if len(x) > 2:
        return b[1] + b[2]
    return b[0]


@kernel
def grown(x: View[f32, 1]) -> f32:
    b = doubled(x)
    for _ in range(5):
        b = doubled(b.view())
    return b[len(b) - 1]


@kernel
def doubled(x: View[f32, 1]) -> Buffer[f32]:
    b = buffer(f32, 2 * len(x))
    for i in range(len(b)):
        b[i] = x[i // 2]
    return b


def test_what_a_return_or_an_assignment_reads_is_freed_after_it() -> None:
    x = np.array([1, 2, 3], np.float32)
    for run in (read_last, read_last.compile().interpret):
        assert [run(x), run(x[:1])] == [10, 2]
    for run in (grown, grown.compile().interpret):
        assert run(x) == 3
