"""What a call from Python costs: a kernel of three arguments that does nothing."""

# mypy: ignore-errors
# the kernel below is written in Hekla's language, which has a type checker of its own
from collections.abc import Iterator

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.table import Row, measure
from hekla.lang import MutView, View, f32, kernel


@kernel
def nothing(a: f32, x: View[f32, 1], y: MutView[f32, 1]):
    return


def python(a, x, y):
    """Do nothing, in Python."""


def rows(_limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure the kernel object and its built-in function, beside a Python function and a ufunc."""
    x, y, entry = np.zeros(4, np.float32), np.zeros(4, np.float32), nothing.compile().entry
    peers = {"Python function": lambda: python(2.0, x, y), "np.add": lambda: np.add(x, x, y)}
    yield measure("kernel(a, x, y)", "4", lambda: nothing(2.0, x, y), peers, seconds, unit="ns")
    yield measure("kernel.compile().entry(a, x, y)", "4", lambda: entry(2.0, x, y), peers, seconds, unit="ns")
