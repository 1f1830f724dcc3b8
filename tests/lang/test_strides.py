"""range(start, stop, step) counts as Python's does, to the last whole number there is."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import itertools
from typing import Any

import numpy as np
import pytest

from hekla.lang import MutView, index, kernel
from hekla.lang.kernel import Kernel

EDGES = (-(2**63), -(2**63) + 1, -7, -1, 0, 1, 2, 5, 7, 9, 2**62, 2**63 - 3, 2**63 - 1)
MOST = 20


@kernel
def up(a: index, b: index, out: MutView[index, 1]) -> index:
    n = 0
    for i in range(a, b, 5):
        if i == 7:
            continue
        if n == len(out):
            break
        out[n] = i
        n += 1
    return n


@kernel
def far(a: index, b: index, out: MutView[index, 1]) -> index:
    n = 0
    for i in range(a, b, 4611686018427387904):
        out[n] = i
        n += 1
    return n


@kernel
def down(a: index, b: index, out: MutView[index, 1]) -> index:
    n = 0
    for i in range(a, b, -3):
        if n == len(out):
            break
        out[n] = i
        n += 1
    return n


@pytest.mark.parametrize("way", ["compiled", "checked", "interpreted"])
@pytest.mark.parametrize(("kernel", "step", "skip"), [(up, 5, 7), (far, 2**62, None), (down, -3, None)])
def test_every_pair_of_edges(kernel: Kernel, step: int, skip: int | None, way: str) -> None:
    run: Any = {"compiled": kernel, "checked": kernel.with_options(checked=True)}.get(way)  # Any: a kernel's call
    if run is None:
        run = kernel.compile().interpret
    out = np.zeros(MOST, np.int64)
    for a in EDGES:
        for b in EDGES:
            wanted = list(itertools.islice((i for i in range(a, b, step) if i != skip), MOST))
            assert out[: run(a, b, out)].tolist() == wanted, (a, b)
