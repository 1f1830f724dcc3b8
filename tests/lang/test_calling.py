"""Calling kernels from Python: what is taken, what is refused and how it is said."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import array
import gc
import sys
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hekla.base.errors import DtypeError, ShapeError, UnsupportedError
from hekla.lang import (
    ArgumentError,
    Array,
    Buffer,
    Const,
    KernelTypeError,
    MutView,
    TypeParam,
    View,
    bf16,
    f16,
    f32,
    f64,
    i8,
    i64,
    index,
    kernel,
    strided,
    struct,
    u8,
    u64,
)
from hekla.lang.llvm.target import Target, host_target

T = TypeParam("T")


@kernel
def scale(a: f32, x: View[f32, 1], y: MutView[f32, 1]):
    for i in range(len(x)):
        y[i] = a * x[i]


@kernel
def total(x: View[T, 1]) -> T:
    s = T(0)
    for i in range(len(x)):
        s += x[i]
    return s


@kernel
def transposed_sum(x: View[f32, 2, strided], y: MutView[f32, 1]):
    for j in range(x.shape[1]):
        y[j] = 0.0
        for i in range(x.shape[0]):
            y[j] += x[i, j]


@kernel
def repeated(x: f64, *, times: Const = 2) -> f64:
    return x * times


@kernel
def small(a: i8, b: u8, c: u64, d: bool) -> i64:
    if d:
        return i64(a) + i64(b)
    return i64(c)


@kernel
def own(b: Buffer[f32]) -> f32:
    return b[0]


@struct
class Point:
    tag: u8
    x: f32
    history: Array[f32, 2]


@kernel
def move(points: MutView[Point, 1], by: f32):
    for i in range(len(points)):
        points[i].history[0] = points[i].x
        points[i].x += by


def numbers(n: int = 8) -> Any:  # Any: an array, which mypy does not take for a buffer
    """Return n floats."""
    return np.arange(n, dtype=np.float32)


def test_arrays_and_numbers_of_every_kind_are_taken() -> None:
    y = np.zeros(8, np.float32)
    for a in (2, 2.0, np.float32(2), np.int16(2)):
        y[:] = 0
        assert scale(a, numbers(), y) is None
        assert (y == 2 * numbers()).all()


def test_buffers_and_dlpack_are_taken_without_a_copy() -> None:
    out = array.array("f", [0.0] * 8)
    scale(3.0, memoryview(numbers()), out)
    assert list(out) == [3.0 * i for i in range(8)]

    class Tensor:
        def __init__(self) -> None:
            self.held = np.zeros(8, np.float32)

        def __dlpack__(self, **options: Any) -> Any:
            return self.held.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.held.__dlpack_device__()

    tensor = Tensor()
    scale(2.0, numbers(), tensor)
    assert tensor.held.tolist() == [2.0 * i for i in range(8)]


REFUSED: list[tuple[tuple[Any, ...], type[Exception], str]] = [  # Any: wrong on purpose
    ((2.0, numbers()), ArgumentError, "scale(): takes 3 arguments (a, x, y), got 2"),
    (("2", numbers(), numbers()), ArgumentError, "scale(a): takes a number (f32), got str"),
    ((2.0, numbers().astype(np.float64), numbers()), DtypeError, "scale(x): expected datatype float32, got float64"),
    (
        (2.0, numbers(), np.zeros((8, 1), np.float32)),
        ShapeError,
        "scale(y): expected shape of 1 dimensions, got [8, 1]",
    ),
    (
        (2.0, [1.0], numbers()),
        ArgumentError,
        "scale(x): takes an array for View[f32, 1], got list; use np.asarray(x, dtype=float32)",
    ),
    (
        (2.0, numbers()[::2], numbers()),
        ArgumentError,
        "scale(x): the elements of the last dimension are not side by side;"
        " pass np.ascontiguousarray(x), or declare the view strided",
    ),
]


@pytest.mark.parametrize(("given", "error", "text"), REFUSED)
def test_a_wrong_argument_is_named(given: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        scale(*given)
    assert str(caught.value) == text


def test_a_read_only_array_is_not_written() -> None:
    frozen = numbers()
    frozen.flags.writeable = False
    scale(1.0, frozen, numbers())
    with pytest.raises(ArgumentError, match=r"scale\(y\): is written, and the array is read-only; pass a copy"):
        scale(1.0, numbers(), frozen)


@kernel
def gather_many(
    a: View[f32, 1], b: View[f32, 1], c: MutView[f32, 1], d: View[f32, 1], e: View[f32, 1], g: MutView[f32, 1],
    h: View[f32, 1], i: View[f32, 1], j: View[f32, 1], k: MutView[f32, 1],
):  # fmt: skip
    c[0] = a[0] + b[0]
    g[0] = d[0] + e[0]
    k[0] = h[0] + i[0] + j[0]


def test_among_many_arrays_those_that_overlap_are_found_too() -> None:
    memory = np.ones(100, np.float32)
    pieces = [memory[10 * i : 10 * i + 10] for i in range(10)]
    gather_many(*pieces)
    assert memory[[20, 50, 90]].tolist() == [2, 2, 3]
    gather_many(*pieces[:3], pieces[0], *pieces[4:])  # both are read
    gather_many(*pieces[:3], memory[25:25], *pieces[4:])  # an empty one meets nobody
    for written in (2, 5, 9):
        for other in set(range(10)) - {written}:
            given = list(pieces)
            given[other] = memory[10 * written + 9 : 10 * written + 12]
            with pytest.raises(ArgumentError, match="overlap in memory"):
                gather_many(*given)


def test_overlapping_arrays_are_refused_only_where_one_is_written() -> None:
    x = numbers(16)
    with pytest.raises(ArgumentError, match="x and y overlap in memory, and y is written"):
        scale(1.0, x[:8], x[7:15])
    scale(1.0, x[:8], x[8:])
    empty = x[4:4]
    scale(1.0, empty, empty)


def test_unaligned_and_swapped_arrays_are_refused() -> None:
    unaligned = np.zeros(33, np.uint8)[1:].view(np.float32)
    with pytest.raises(ArgumentError, match="not aligned to 4 bytes"):
        scale(1.0, unaligned, numbers())
    with pytest.raises(DtypeError, match="expected datatype float32, got >f4"):
        scale(1.0, numbers().astype(">f4"), numbers())


def test_integers_outside_of_their_type_are_refused() -> None:
    assert small(-128, 255, 0, True) == 127
    assert small(0, 0, 2**63 - 1, False) == 2**63 - 1
    for arguments, text in (
        ((128, 0, 0, True), r"small\(a\): 128 does not fit i8 \(-128 to 127\)"),
        ((0, -1, 0, True), r"small\(b\): -1 does not fit u8"),
        ((0, 0, 2**64, True), r"small\(c\): 18446744073709551616 does not fit u64"),
        ((0, 0, 0, 1), r"small\(d\): takes a bool, got int"),
        ((0.5, 0, 0, True), r"small\(a\): takes a whole number \(i8\), got float"),
    ):
        with pytest.raises(ArgumentError, match=text):
            small(*arguments)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint32, np.int64, np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
)
def test_a_generic_kernel_takes_the_type_of_its_array(dtype: Any) -> None:
    assert total(np.arange(5).astype(dtype)) == 10


def test_a_generic_kernel_refuses_what_has_no_type() -> None:
    with pytest.raises(ArgumentError, match="no type of the language has the elements of complex128"):
        total(np.zeros(3, complex))


def test_strided_views_take_any_strides() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y = np.zeros(3, np.float32)
    transposed_sum(x.T, y)
    assert (y == x.sum(axis=1)).all()
    transposed_sum(x.T[::-1, ::-1], y)
    assert (y == x.sum(axis=1)[::-1]).all()


def test_compile_time_parameters_are_given_by_name() -> None:
    assert repeated(1.5) == 3.0
    assert repeated(1.5, times=5) == 7.5
    with pytest.raises(KernelTypeError, match="no compile-time parameter 'time'"):
        repeated(1.5, time=5)


def test_records_are_numpy_records() -> None:
    points: Any = np.zeros(3, Point.dtype)
    points["x"] = [1, 2, 3]
    move(points, 0.5)
    assert points["x"].tolist() == [1.5, 2.5, 3.5]
    assert points["history"][:, 0].tolist() == [1, 2, 3]
    assert Point.dtype.itemsize == 16
    other = np.zeros(3, [("x", np.float32)])
    with pytest.raises(DtypeError, match=r"move\(points\)"):
        move(other, 0.5)


def test_half_floats_go_in_and_out() -> None:
    @kernel
    def double(x: View[f16, 1], y: MutView[bf16, 1]):
        for i in range(len(x)):
            y[i] = bf16(x[i] + x[i])

    y = np.zeros(4, ml_dtypes.bfloat16)
    double(np.array([1, 2, 3, 4], np.float16), y)
    assert y.astype(np.float32).tolist() == [2, 4, 6, 8]


def test_what_python_cannot_pass_is_said_when_it_tries() -> None:
    with pytest.raises(ArgumentError, match=r"own\(\): cannot be called from Python: parameter 'b' is Buffer\[f32\]"):
        own(numbers())


def test_calls_leak_no_references() -> None:
    x, y = numbers(), numbers()
    scale(1.0, x, y)
    gc.collect()
    before = sys.getrefcount(x), sys.getrefcount(y), sys.getrefcount(None)
    for _ in range(1000):
        scale(1.0, x, y)
        with pytest.raises(ArgumentError):
            scale("a", x, y)
    after = sys.getrefcount(x), sys.getrefcount(y), sys.getrefcount(None)
    assert before[:2] == after[:2]
    assert abs(after[2] - before[2]) < 200


def test_the_interpreter_lock_is_free_while_a_kernel_runs() -> None:
    @kernel
    def spin(flag: MutView[i64, 1], turns: index) -> i64:
        s = i64(0)
        for i in range(turns):
            s = s * 3 + i64(i)
        flag[0] = 1
        return s

    flag = np.zeros(1, np.int64)
    spin(flag, 1)
    flag[0] = 0
    thread = threading.Thread(target=spin, args=(flag, 200_000_000))
    thread.start()
    turns = 0
    while not flag[0]:
        turns += 1
    thread.join()
    assert turns > 100


def test_code_outlives_its_kernel_object_while_somebody_holds_the_entry() -> None:
    def make() -> Any:
        @kernel
        def plus_one(x: f64) -> f64:
            return x + 1.0

        return plus_one.compile().entry

    entry = make()
    gc.collect()
    assert entry(1.0) == 2.0
    with pytest.raises(ArgumentError, match=r"plus_one\(x\)"):
        entry("a")


def test_a_kernel_without_parameters_is_called() -> None:
    scale_by = 21

    @kernel
    def answer() -> i64:
        return i64(2) * scale_by

    assert answer() == 42
    with pytest.raises(ArgumentError, match=r"answer\(\): takes 0 arguments"):
        answer(1)


def test_code_for_another_machine_is_refused_before_it_runs() -> None:
    host = host_target()
    odd = Target(host.triple, host.cpu, host.features | {"amx-fp8"})
    with pytest.raises(UnsupportedError, match=r"scale\(\): this code needs amx-fp8, which the processor lacks"):
        scale.with_options(target=odd)(1.0, numbers(), numbers())
    other = Target("riscv64-unknown-linux-gnu", "generic-rv64", frozenset())
    with pytest.raises(UnsupportedError, match="this code is for riscv64-unknown-linux-gnu, the machine is"):
        scale.with_options(target=other)(1.0, numbers(), numbers())
