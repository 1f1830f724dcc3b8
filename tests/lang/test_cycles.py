"""The processor's clock."""
# mypy: disable-error-code="valid-type,no-any-return"
# (the annotations of kernels are Hekla's language, which mypy reads as Python)

import platform

import pytest

from hekla.lang import cycles, index, kernel, u64


@kernel
def time_of(n: index) -> u64:
    before = cycles()
    total = u64(0)
    for _i in range(n):
        total ^= cycles()
    if total == 1:
        return 0
    return cycles() - before


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="programs may not read the clock there")
def test_the_clock_goes_forward_while_a_kernel_works() -> None:
    assert 0 < time_of(10) < time_of(100_000)


def test_the_interpreter_has_a_clock_too() -> None:
    assert time_of.compile().interpret(100) > 0
