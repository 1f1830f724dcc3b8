"""Checked builds and the interpreter meet the same faults at the same places."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hekla.lang import CheckError, Kernel, MutView, View, f32, gather, i8, i32, index, kernel, load, store


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
