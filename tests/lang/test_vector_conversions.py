"""Vectors of floats to integers: cut towards zero, stop at the limits, NaN gives 0, the same every way it runs."""

import numpy as np
import pytest

from hekla.lang import (
    MutView,
    TypeParam,
    View,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    index,
    kernel,
    load,
    store,
    u8,
    u16,
    u32,
    u64,
)
from hekla.lang import types as t

INTEGERS = (i8, i16, i32, i64, u8, u16, u32, u64)
LANES = 8
S, D = TypeParam("S"), TypeParam("D")


@kernel
def convert(x: View[S, 1], y: MutView[D, 1], first: index):  # type: ignore[no-untyped-def,valid-type]  # the language's own types
    store(y, first, D(load(x, first, width=LANES)))  # type: ignore[operator]  # the language's own types


def awkward(source: t.ScalarType, wanted: t.ScalarType) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    low, high = np.float64(wanted.limits[0]), np.float64(wanted.limits[1])
    around = [low, high, low / 2, high / 2, low * 2, high * 2, low - 1, high + 1, low + 1, high - 1]
    edges = [
        np.nextafter(v, to, dtype=source.dtype) for v in np.array(around, source.dtype) for to in (-np.inf, np.inf)
    ]
    some = [0.0, -0.0, 0.5, -0.5, 1.9, -1.9, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-40]
    with np.errstate(over="ignore"):
        values = np.array([*around, *edges, *some], source.dtype)
    return np.resize(values, -(-len(values) // LANES) * LANES)


@pytest.mark.parametrize("source", [f32, f64], ids=str)
@pytest.mark.parametrize("wanted", INTEGERS, ids=str)
def test_a_vector_of_floats_becomes_integers_as_the_interpreter_says(
    source: t.ScalarType, wanted: t.ScalarType
) -> None:
    x = awkward(source, wanted)
    one = convert.compile(t.ViewType(source, 1, False, False), t.ViewType(wanted, 1, True, False), index)
    results = []
    for run in (one.interpret, one, convert.with_options(optimise=False)):
        y = np.zeros(len(x), wanted.dtype)
        for first in range(0, len(x), LANES):
            run(x, y, first)
        results.append(y)
    assert results[0].tolist() == results[1].tolist() == results[2].tolist()
    low, high = wanted.limits
    whole = [0 if np.isnan(v) else int(v) if low <= v <= high else low if v < low else high for v in map(float, x)]
    assert results[0].tolist() == whole
