"""The integer dot product on processors without an instruction for it: exact, for all bytes."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,type-arg"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import numpy as np
import pytest

from hekla.lang import Const, MutView, TypeParam, View, dot4, i8, i32, kernel, load, store
from hekla.lang.llvm.target import Target, host_target

B = TypeParam("B")


@kernel
def dots(a: View[B, 1], b: View[i8, 1], c: MutView[i32, 1], *, lanes: Const):
    sums = dot4(load(c, 0, width=lanes), load(a, 0, width=4 * lanes), load(b, 0, width=4 * lanes))
    store(c, 0, sums)


def avx2() -> Target:
    host = host_target()
    if not host.triple.startswith("x86_64") or not host.has("avx2"):
        pytest.skip("needs a processor with AVX2")
    kept = {f for f in host.features if not f.startswith(("avx512", "avxvnni", "avx10"))}
    return Target(host.triple, "x86-64-v3", frozenset(kept))


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_words_give_the_exact_sums(dtype: type[np.integer], lanes: int) -> None:
    made = dots.with_options(target=avx2())
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    for is_extreme in (False, True):
        a = rng.integers(limits.min, limits.max, 4 * lanes, dtype, endpoint=True)
        b = rng.integers(-128, 127, 4 * lanes, np.int8, endpoint=True)
        if is_extreme:
            a[:], b[:] = limits.min or limits.max, -128
        c = rng.integers(-9999, 9999, lanes, np.int32)
        wanted = c + (a.astype(np.int32) * b).reshape(lanes, 4).sum(axis=1)
        made(a, b, c, lanes=lanes)
        np.testing.assert_array_equal(c, wanted)
