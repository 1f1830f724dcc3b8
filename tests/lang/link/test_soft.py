"""Operations in software give what the hardware gives: every half, and floats at every rounding."""

import ctypes
import math
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.lang.link.machines import command

from hekla.lang.files import kernel_in
from hekla.lang.link.build import build
from hekla.lang.link.soft import soft_text
from hekla.lang.products import build_product
from hekla.lang.targets.known import target_named

LOOPS = """
define void @to_half(ptr %to, ptr %from, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr KIND, ptr %from, i64 %i
  %x = load KIND, ptr %at
  %h = call half @CALL(KIND %x)
  %out = getelementptr half, ptr %to, i64 %i
  store half %h, ptr %out
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, %count
  br i1 %end, label %done, label %loop
done:
  ret void
}
"""
WIDEN = """
define void @from_half(ptr %to, ptr %from, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr half, ptr %from, i64 %i
  %x = load half, ptr %at
  %f = call float @__extendhfsf2(half %x)
  %out = getelementptr float, ptr %to, i64 %i
  store float %f, ptr %out
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, %count
  br i1 %end, label %done, label %loop
done:
  ret void
}
"""


def library(text: str, entry: str, folder: Path) -> ctypes.CDLL:
    target = target_named("x86-64-v3")
    path = folder / f"{entry}.so"
    build(soft_text(target) + text, entry=entry, target=target, kind="shared", output=path)
    return ctypes.CDLL(str(path))


def run(function: Any, given: "np.ndarray[Any, Any]", result: str) -> "np.ndarray[Any, Any]":  # Any: any width
    out = np.zeros(len(given), result)
    pointer = ctypes.c_void_p
    function(out.ctypes.data_as(pointer), given.ctypes.data_as(pointer), ctypes.c_int64(len(given)))
    return out


@pytest.mark.parametrize(("kind", "call", "dtype"), [("float", "__truncsfhf2", "f4"), ("double", "__truncdfhf2", "f8")])
def test_halves_are_rounded_as_numpy_rounds_them(kind: str, call: str, dtype: str, tmp_path: Path) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = np.sort(halves[np.isfinite(halves)].astype(dtype))
    middles = (finite[1:] + finite[:-1]) / 2  # exact: ties
    edges = [np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf), halves.astype(dtype)]
    bits = np.random.default_rng(7).integers(0, 2**32, 50000, dtype=np.uint32)
    with np.errstate(all="ignore"):
        random, far = bits.view(np.float32).astype(dtype), np.array([1e300, -1e-300, 65519.99, 65520.0]).astype(dtype)
        given = np.concatenate([finite, middles, *edges, random, far])
        expected = given.astype(np.float16)
    text = LOOPS.replace("KIND", kind).replace("CALL", call)
    found = run(library(text, "to_half", tmp_path).to_half, given, "f2")
    numbers = ~np.isnan(expected)
    assert (found.view(np.uint16) == expected.view(np.uint16))[numbers].all()
    assert np.isnan(found[~numbers]).all()


def test_every_half_widens_exactly(tmp_path: Path) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    found = run(library(WIDEN, "from_half", tmp_path).from_half, halves, "f4")
    expected = halves.astype(np.float32)
    numbers = ~np.isnan(expected)
    assert (found.view(np.uint32) == expected.view(np.uint32))[numbers].all()
    assert np.isnan(found[~numbers]).all()


FUSE = """
define void @fuse(ptr %to, ptr %from, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %triple = mul i64 %i, 3
  %a.at = getelementptr KIND, ptr %from, i64 %triple
  %b.at = getelementptr KIND, ptr %a.at, i64 1
  %c.at = getelementptr KIND, ptr %a.at, i64 2
  %a = load KIND, ptr %a.at
  %b = load KIND, ptr %b.at
  %c = load KIND, ptr %c.at
  %r = call KIND @CALL(KIND %a, KIND %b, KIND %c)
  %out = getelementptr KIND, ptr %to, i64 %i
  store KIND %r, ptr %out
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, %count
  br i1 %end, label %done, label %loop
done:
  ret void
}
"""


def exactly(a: float, b: float, c: float) -> float:
    """Return a b + c rounded once, from exact arithmetic; Python divides whole numbers with one rounding."""
    if not (math.isfinite(a) and math.isfinite(b)) or a == 0 or b == 0:
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c if c == 0 else 0.0
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def triples(rng: np.random.Generator, count: int) -> "np.ndarray[Any, Any]":
    """Return (a, b, c) of every kind: any bits, sums that cancel, results that are subnormal, ties, and the edges."""
    anything = rng.integers(0, 2**64, (count, 3), dtype=np.uint64).view(np.float64)
    near = rng.normal(size=(count, 3)) * 2.0 ** rng.integers(-60, 60, (count, 3)).astype(float)
    cancel = near.copy()
    cancel[:, 2] = -(cancel[:, 0] * cancel[:, 1]) * (1 + rng.integers(-2, 3, count) * 2.0**-52)
    tiny = near.copy()
    tiny[:, :2] = rng.normal(size=(count, 2)) * 2.0 ** rng.integers(-560, -500, (count, 2)).astype(float)
    tiny[:, 2] = rng.normal(size=count) * 2.0 ** rng.integers(-1080, -1000, count).astype(float)
    ties = rng.integers(1, 2**27, (count, 3)).astype(np.float64)
    ties[:, 2] = 2.0 ** rng.integers(50, 110, count).astype(float)
    edges = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 2.0**-537,
             1.7976931348623157e308, 2.0**1023, 1 + 2.0**-52, 1 - 2.0**-53]  # fmt: skip
    grid = np.array([(a, b, c) for a in edges for b in edges for c in edges])
    huge = rng.normal(size=(count, 3)) * 2.0 ** rng.integers(500, 515, (count, 3)).astype(float)
    huge[:, 2] *= 2.0**509
    return np.concatenate([anything, near, cancel, tiny, ties, grid, huge])


def test_fma_of_f64_is_exact_to_the_bit(tmp_path: Path) -> None:
    with np.errstate(all="ignore"):
        given = triples(np.random.default_rng(11), 3000)
    text = FUSE.replace("KIND", "double").replace("CALL", "fma")
    call = library(text, "fuse", tmp_path).fuse
    found = np.zeros(len(given))
    pointer = ctypes.c_void_p
    call(found.ctypes.data_as(pointer), given.ctypes.data_as(pointer), ctypes.c_int64(len(given)))
    for (a, b, c), r in zip(given.tolist(), found.tolist(), strict=True):
        wanted = exactly(a, b, c)
        assert (math.isnan(r) and math.isnan(wanted)) or (
            r == wanted and math.copysign(1, r) == math.copysign(1, wanted)
        ), (a.hex(), b.hex(), c.hex(), r.hex(), wanted.hex())


@pytest.mark.parametrize("name", ["x86-64-v2", "thumb-cortex-m7", "wasm32", "aarch64", "riscv64"])
def test_every_machine_fuses_f64_alike(name: str, tmp_path: Path) -> None:
    """One number made of many fused results is the same with the instruction and without."""
    kernel = kernel_in(Path(__file__).parents[1] / "built.py", "fused_bits")
    path = tmp_path / name
    build_product(kernel, target=name, kind="executable", output=path)
    done = subprocess.run(command(target_named(name).family, path), check=False, timeout=60)
    assert done.returncode == kernel() == kernel.compile().interpret()
