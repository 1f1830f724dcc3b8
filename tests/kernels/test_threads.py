"""Kernels on a number of threads of their own."""

import pytest

from hekla.kernels.int8_gemm import int8_gemm
from hekla.kernels.threads import on_threads
from hekla.runtime.limits import usable_cpus


def test_a_kernel_gets_the_threads_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEKLA_THREADS", raising=False)
    asked = usable_cpus() + 1
    made = on_threads(int8_gemm, asked)
    assert made.options.pool is not None
    assert made.options.pool.workers == asked - 1
    assert on_threads(int8_gemm, asked).options.pool is made.options.pool
    assert on_threads(int8_gemm, 0) is int8_gemm
    assert on_threads(int8_gemm, usable_cpus()) is int8_gemm
    monkeypatch.setenv("HEKLA_THREADS", "1")
    assert on_threads(int8_gemm, asked) is int8_gemm
