"""Stores past the caches put down what ordinary stores do, wherever memory begins."""

import numpy as np
import pytest

from hekla.lang import MutView, TypeParam, View, index, kernel, load, stream_store

T = TypeParam("T")
LANES = 16


@kernel
def streamed(x: View[T, 1], y: MutView[T, 1], first: index):  # type: ignore[no-untyped-def,valid-type]  # the language's own types
    stream_store(y, first, load(x, first, width=LANES))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("offset", [0, 1, 3, 8, 13])
def test_a_streamed_vector_lands_where_it_should(dtype: type[np.generic], offset: int) -> None:
    x = np.arange(LANES + 5).astype(dtype)
    results = []
    for kernel_ in (streamed, streamed.with_options(optimise=False)):
        memory = np.zeros(LANES + 40, dtype)
        kernel_(x, memory[offset : offset + LANES + 5], 2)
        results.append(memory)
    wanted = np.zeros(LANES + 40, dtype)
    wanted[offset + 2 : offset + 2 + LANES] = x[2 : 2 + LANES]
    for found in results:
        assert found.tolist() == wanted.tolist()
