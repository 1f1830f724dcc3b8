"""A fault frees what the kernel and its callers own: memory in use is the same after a thousand of them."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import ctypes
import platform
from collections.abc import Callable

import numpy as np
import pytest

from hekla.lang import Buffer, CheckError, MutView, buffer, f32, index, kernel, parallel, region

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs mallinfo2")
N = 1 << 12  # elements of each buffer: what leaks is seen among Python's own


@kernel
def moves(n: index, k: index) -> f32:
    a = buffer(f32, n)
    b = buffer(f32, n)
    if n > 5:
        c = b
        d = buffer(f32, n)
        c[0] = 1.0
        return c[k] + d[0]
    return a[k]


@kernel
def make(n: index, k: index) -> Buffer[f32]:
    a = buffer(f32, n)
    a[k] = 1.0
    return a


@kernel
def eat(a: Buffer[f32], k: index, b: Buffer[f32]) -> f32:
    return a[0] + b[k]


@kernel
def calls(n: index, k: index, j: index) -> f32:
    a = buffer(f32, n)
    x = eat(make(n, 0), k, make(n, j))
    make(n, 0)
    return eat(a, k, make(n, j)) + x


@kernel
def loops(n: index, k: index) -> f32:
    total = f32(0.0)
    for i in range(10):
        a = buffer(f32, n)
        r = region(4 * n)
        t = r.take(f32, 4)
        t[0] = a[i * k]
        total += t[0]
    return total


@kernel
def side_by_side(n: index, k: index, x: MutView[f32, 1]):
    for i in parallel(4):
        a = buffer(f32, n)
        x[i] = a[i * k]


@kernel
def too_much(n: index) -> f32:
    a = buffer(f32, n)
    b = buffer(f32, index(1) << 50)
    return a[0] + b[0]


@kernel
def replaced(n: index, k: index) -> f32:
    a = buffer(f32, n)
    for _ in range(3):
        a = buffer(f32, n)
    return a[k]


_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Usage(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def used_bytes() -> int:
    """Return the bytes that the process has from malloc."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Usage
    found = ask()
    return int(found.uordblks + found.hblkhd)


def growth(call: Callable[[], object]) -> int:
    """Return how many bytes more are in use after 200 calls than after the first two."""

    def quiet() -> None:
        try:
            call()
        except CheckError:
            return

    for _ in range(2):
        quiet()
    before = used_bytes()
    for _ in range(200):
        quiet()
    return used_bytes() - before


OUT = np.zeros(4, np.float32)
CASES = {
    "moved": (moves, (N, N)), "of a branch": (moves, (4, 4)), "of an argument": (calls, (N, N, 0)),
    "of a callee": (calls, (N, 0, N)), "of a loop": (loops, (N, N // 2)),
    "of a thread": (side_by_side, (N, N // 2, OUT)),
    "without memory": (too_much, (N,)), "replaced": (replaced, (N, N)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_fault_leaves_nothing_behind(name: str) -> None:
    kernel, given = CASES[name]
    checked = kernel.with_options(checked=True)
    with pytest.raises(CheckError):
        checked(*given)
    assert growth(lambda: checked(*given)) < 40 * N


@pytest.mark.parametrize("checked", [False, True])
def test_kernels_that_meet_no_fault_leave_nothing_behind(checked: bool) -> None:
    for program, given in ((moves, (N, 1)), (calls, (N, 1, 1)), (loops, (N, 1)), (replaced, (N, 1))):
        run = program.with_options(checked=checked)
        assert growth(lambda run=run, given=given: run(*given)) < 40 * N


def test_the_measure_sees_a_leak() -> None:
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    assert growth(lambda: malloc(ctypes.c_size_t(4 * N))) > 40 * N


@kernel
def lengths(n: index) -> index:
    return len(make(n, 0)) + len(make(n, 1))


def test_an_owner_of_which_only_the_length_is_asked_is_freed() -> None:
    assert lengths(N) == lengths.compile().interpret(N) == 2 * N
    assert growth(lambda: lengths(N)) < 40 * N
