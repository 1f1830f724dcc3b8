"""Operations in software give what the hardware gives: every half, and floats at every rounding."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.lang.link.build import build
from hekla.lang.link.soft import soft_text
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
