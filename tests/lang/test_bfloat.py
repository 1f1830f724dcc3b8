"""bf16 to f32 and back: every number there is, ties, infinities and NaN, on processors with and without bf16."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from hekla.lang import Kernel, MutView, TypeParam, View, bf16, f16, kernel, load, store
from hekla.lang.llvm.target import Target, host_target

S, D = TypeParam("S"), TypeParam("D")


@kernel
def convert(x: View[S, 1], y: MutView[D, 1]):  # type: ignore[no-untyped-def,valid-type]  # the language's own types
    for i in range(0, len(x), 16):
        left = len(x) - i
        store(y, i, D(load(x, i, width=16, count=left)), count=left)  # type: ignore[operator]  # the language's own


def targets() -> list[Target]:
    host = host_target()
    plain = [f for f in host.features if "bf16" not in f and not f.startswith("avx512")]
    return [
        host,
        replace(host, cpu="x86-64-v3" if host.triple.startswith("x86_64") else host.cpu, features=frozenset(plain)),
    ]


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.cpu)
def test_every_bf16_becomes_the_f32_of_the_same_value(target: Target) -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    y = np.zeros(len(x), np.float32)
    convert.with_options(target=target)(x, y)
    np.testing.assert_array_equal(y, x.astype(np.float32))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.cpu)
def test_f32_becomes_the_nearest_bf16_and_ties_go_to_even(target: Target) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 20_003, dtype=np.uint32)
    bits[:4000] = bits[:4000] & 0xFFFF0000 | 0x8000  # halfway between two
    bits[4000:4004] = 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00001  # the largest, the infinities, NaN
    x = bits.view(np.float32)
    y = np.zeros(len(x), ml_dtypes.bfloat16)
    convert.with_options(target=target)(x, y)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(y.astype(np.float32), wanted.astype(np.float32))


@kernel
def half(x: f16) -> f16:  # type: ignore[valid-type]  # the language's own types
    return x


@kernel
def brain(x: bf16) -> bf16:  # type: ignore[valid-type]  # the language's own types
    return x


@pytest.mark.parametrize("narrow", [half, brain], ids=["f16", "bf16"])
def test_small_floats_are_arguments_and_results(narrow: Kernel) -> None:
    rng = np.random.default_rng(1)
    near = [1 + 2**-11 + 2**-40, 1 + 2**-8 + 2**-40, 1 - 2**-12 - 2**-40]  # ties once they are f32
    tested = [0.0, -0.0, 1.5, 65504.0, 65520.0, 1e30, float("inf"), 1e-8, *near, *rng.normal(0, 100, 200).tolist()]
    interpreted = narrow.compile().interpret
    for x in tested:
        with np.errstate(over="ignore"):
            assert narrow(x) == float(interpreted(x)) == -narrow(-x), x
    assert np.isnan(narrow(float("nan")))
