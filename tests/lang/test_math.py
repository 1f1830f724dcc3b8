"""The functions of hekla.lang.math keep the error bounds they state."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hekla.lang import Function, MutView, View, f32, kernel, load, store
from hekla.lang import math as lang_math

Floats = np.ndarray[Any, np.dtype[np.float64]]


@kernel
def apply(x: View[f32, 1], y: MutView[f32, 1], *, f: Function):
    for i in range(0, len(x), 16):
        store(y, i, f(load(x, i, width=16)))


@kernel
def apply_scalar(x: View[f32, 1], y: MutView[f32, 1], *, f: Function):
    for i in range(len(x)):
        y[i] = f(x[i])


FUNCTIONS: list[tuple[str, Callable[[Floats], Floats], float, float, float]] = [
    ("exp", np.exp, -87.3, 88.7, 1.0),
    ("log", np.log, 1e-37, 3e38, 1.0),
    ("log", np.log, 0.5, 2.0, 1.0),
    ("tanh", np.tanh, -10, 10, 2.0),
    ("erf", np.vectorize(math.erf), -5, 5, 1.0),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -80, 80, 3.0),
]
SPECIAL = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1, 1, 3e38, -3e38, 88.8, -87.4, 0.5, 2, 1e-6, -1e-6], np.float32
)
LIMITS = {
    "exp": [1, 1, np.inf, 0, np.nan],
    "log": [-np.inf, -np.inf, np.inf, np.nan, np.nan],
    "tanh": [0, 0, 1, -1, np.nan],
    "erf": [0, 0, 1, -1, np.nan],
    "sigmoid": [0.5, 0.5, 1, 0, np.nan],
}


@pytest.mark.parametrize(("name", "truth", "low", "high", "bound"), FUNCTIONS)
def test_the_error_is_within_its_bound(
    name: str, truth: Callable[[Floats], Floats], low: float, high: float, bound: float
) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(low, high, 1 << 16).astype(np.float32)
    x[: 1 << 12] = np.geomspace(max(low, 1e-6), high, 1 << 12)
    y = np.zeros_like(x)
    apply(x, y, f=getattr(lang_math, name))
    exact = truth(x.astype(np.float64))
    normal = np.abs(exact) >= 2.0**-126
    ulps = np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert ulps[normal].max() <= bound


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_special_values_are_exact_and_scalars_equal_lanes(name: str) -> None:
    function = getattr(lang_math, name)
    lanes, scalars, defined = (np.zeros_like(SPECIAL) for _ in range(3))
    apply(SPECIAL, lanes, f=function)
    apply_scalar(SPECIAL, scalars, f=function)
    apply.compile(f=function).interpret(SPECIAL, defined)
    np.testing.assert_array_equal(lanes, scalars)
    np.testing.assert_array_equal(lanes, defined)
    np.testing.assert_array_equal(lanes[:5], np.array(LIMITS[name], np.float32))
