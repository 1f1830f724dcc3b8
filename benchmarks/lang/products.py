"""Matrix products: f32 beside OpenBLAS and ONNX Runtime, bytes beside ONNX Runtime."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.onnx_model import operator
from benchmarks.lang.table import Row, measure
from benchmarks.lang.timing import Call
from hekla.kernels import int8_gemm, sgemm

SQUARES = (256, 512, 768, 1024)
SKINNY = [(m, n, n) for n in (512, 1024) for m in (1, 4, 16, 64)]
BYTES = [(512, 512, 512), (1024, 1024, 1024), (1, 1024, 1024), (16, 1024, 1024), (64, 1024, 1024)]


def rows(limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure both kinds of product."""
    rng = np.random.default_rng(0)
    for m, k, n in [*((s, s, s) for s in SQUARES), *SKINNY]:
        yield _floats(rng, m, k, n, limits, seconds)
    for m, k, n in BYTES:
        yield from _bytes(rng, m, k, n, limits, seconds)


def _floats(rng: np.random.Generator, m: int, k: int, n: int, limits: Limits, seconds: float) -> Row:
    a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    packed: Any = sgemm.packed_of(b)  # type: ignore[no-untyped-call]  # Any: kernels' files are not typed for mypy
    bias = np.zeros(n, np.float32)
    c, other = np.zeros((m, n), np.float32), np.zeros((m, n), np.float32)
    peers: dict[str, Call | None] = {
        "OpenBLAS": partial(np.matmul, a, b, other),
        "ONNX Runtime": operator("MatMul", ["a", "b"], {"b": b}, a, other),
    }
    size = f"{m} x {k} x {n}"
    row = measure(
        "sgemm",
        size,
        partial(sgemm.sgemm, a, packed, bias, c),
        peers,
        seconds,
        work=2 * m * k * n,
        unit="Gop/s",
        limit=limits.flops,
    )
    np.testing.assert_allclose(c, a @ b, rtol=1e-3, atol=1e-3)
    return row


def _bytes(rng: np.random.Generator, m: int, k: int, n: int, limits: Limits, seconds: float) -> Iterator[Row]:
    a, b = rng.integers(0, 256, (m, k), dtype=np.uint8), rng.integers(-127, 128, (k, n), dtype=np.int8)
    packed: Any = int8_gemm.packed_of(b)  # type: ignore[no-untyped-call]  # Any: as above
    c = np.zeros((m, n), np.int32)
    size, work = f"{m} x {k} x {n}", 2 * m * k * n
    peers: dict[str, Call | None] = {
        "ONNX Runtime MatMulInteger": operator("MatMulInteger", ["a", "b"], {"b": b}, a, c.copy())
    }
    yield measure(
        "int8_gemm",
        size,
        partial(int8_gemm.int8_gemm, a, packed, c),
        peers,
        seconds,
        work=work,
        unit="Gop/s",
        limit=limits.byte_ops,
    )
    np.testing.assert_array_equal(c, a.astype(np.int64) @ b)
    scale, offset, out = np.full(n, 1e-3, np.float32), np.zeros(n, np.int32), np.zeros((m, n), np.uint8)
    constants = {
        "b": b,
        "s": np.float32(0.1),
        "t": np.full(n, 0.01, np.float32),
        "z": np.uint8(0),
        "w": np.zeros(n, np.int8),
        "u": np.float32(1),
    }
    names = ["a", "s", "z", "b", "t", "w", "u", "z"]
    arrays = {key: np.asarray(value) for key, value in constants.items()}
    peers = {"ONNX Runtime QLinearMatMul": operator("QLinearMatMul", names, arrays, a, out.copy())}
    yield measure(
        "int8_gemm_requantised",
        size,
        partial(int8_gemm.int8_gemm_requantised, a, packed, scale, offset, 0, out),
        peers,
        seconds,
        work=work,
        unit="Gop/s",
        limit=limits.byte_ops,
    )
