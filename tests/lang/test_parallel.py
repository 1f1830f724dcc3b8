"""Parallel loops: the same results as one after the other, proofs, pools, forks, faults."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,attr-defined,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

from hekla.lang import (
    CheckError,
    MutView,
    RaceError,
    View,
    atomic_add,
    atomic_compare_exchange,
    atomic_exchange,
    atomic_load,
    atomic_max,
    atomic_min,
    atomic_store,
    f32,
    i32,
    i64,
    index,
    kernel,
    load,
    parallel,
    store,
    u32,
)
from hekla.lang.llvm.pool import ThreadPool


@kernel
def add(x: View[f32, 1], y: MutView[f32, 1]):
    for i in parallel(len(y)):
        y[i] = x[i] + y[i]


@kernel
def copy_row(x: View[f32, 1], y: MutView[f32, 1], by: f32):
    for i in range(len(x)):
        y[i] = x[i] * by


@kernel
def rows(x: View[f32, 2], y: MutView[f32, 2], by: f32):
    for r in parallel(x.shape[0]):
        copy_row(x[r], y[r], by)


@kernel
def blocks(x: View[f32, 1], y: MutView[f32, 1]):
    n = len(y)
    for b in parallel((n + 15) // 16):
        i = b * 16
        store(y, i, load(x, i, width=16, count=n - i), count=n - i)


@kernel
def permuted(places: View[i32, 1], y: MutView[f32, 1]):
    for i in parallel(len(places), unproved="places is a permutation"):
        y[places[i]] = f32(i)


@kernel
def outside(y: MutView[f32, 1], n: index):
    for i in parallel(n):
        y[i] = 1.0


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 1000])
def test_a_parallel_loop_does_what_a_plain_one_does(size: int) -> None:
    x, y = np.arange(size, dtype=np.float32), np.ones(size, np.float32)
    add(x, y)
    assert (y == x + 1).all()
    blocks(x, y)
    assert (y == x).all()
    grid, out = np.arange(size * 3, dtype=np.float32).reshape(size, 3), np.zeros((size, 3), np.float32)
    rows(grid, out, 2.0)
    assert (out == 2 * grid).all()
    defined = np.zeros_like(out)
    rows.compile().interpret(grid, defined, 2.0)
    assert (defined == out).all()


def test_an_unproved_loop_runs_and_says_why_in_the_source() -> None:
    places = np.random.default_rng(0).permutation(100).astype(np.int32)
    y = np.zeros(100, np.float32)
    permuted(places, y)
    assert (y[places] == np.arange(100)).all()


def test_ten_thousand_launches_by_four_threads_at_once_lose_nothing() -> None:
    pool = ThreadPool(3)
    assert pool.workers == 3
    shared = add.with_options(pool=pool)
    results = [np.zeros(257, np.float32) for _ in range(4)]
    one = np.ones(257, np.float32)

    def run(y: "np.ndarray[Any, Any]") -> None:
        for _ in range(2500):
            shared(one, y)

    threads = [threading.Thread(target=run, args=(y,)) for y in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((y == 2500).all() for y in results)


def test_a_pool_without_workers_runs_loops_in_the_caller() -> None:
    y = np.zeros(100, np.float32)
    add.with_options(pool=ThreadPool(0))(np.ones(100, np.float32), y)
    assert (y == 1).all()


def forked(answers: Any) -> None:
    """Run a loop in a child whose parent had workers."""
    y = np.zeros(1000, np.float32)
    add(np.ones(1000, np.float32), y)
    answers.put(float(y.sum()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_no_workers_and_no_hang() -> None:
    add(np.ones(1000, np.float32), np.zeros(1000, np.float32))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=forked, args=(answers,))
    child.start()
    assert answers.get(timeout=30) == 1000
    child.join()


def test_a_fault_in_a_worker_is_reported() -> None:
    checked = outside.with_options(checked=True)
    checked(np.zeros(64, np.float32), 64)
    with pytest.raises(CheckError, match="an index is out of bounds"):
        checked(np.zeros(64, np.float32), 65)


def test_a_race_shows_two_iterations() -> None:
    @kernel
    def halves(y: MutView[f32, 1]):
        for i in parallel(len(y)):
            y[i // 2] = 1.0

    with pytest.raises(RaceError, match=r"iterations (\d+) and (\d+) may write the same place of 'y'") as caught:
        halves.lower()
    first, second = (int(word) for word in caught.value.message.split() if word.isdigit())
    assert first != second
    assert first // 2 == second // 2


@kernel
def histogram(x: View[i32, 1], counts: MutView[i32, 1]):
    for i in parallel(len(x)):
        atomic_add(counts, x[i], i32(1), order="relaxed")


@kernel
def every_update(x: MutView[u32, 1], y: MutView[i64, 2]) -> i64:
    atomic_store(x, 0, u32(7))
    a = atomic_exchange(x, 0, u32(9), order="acq_rel")
    b = atomic_compare_exchange(x, 0, u32(9), u32(4294967295))
    c = atomic_compare_exchange(x, 0, u32(1), u32(2))
    d = atomic_max(x, 0, u32(3))
    e = atomic_min(y, 1, 0, i64(-5))
    f = atomic_load(x, 0, order="acquire")
    return i64(a) + 10 * i64(b) + (i64(c ^ d) + e) * 1000 + i64(f)


def test_atomic_updates_lose_nothing_between_threads() -> None:
    x = np.random.default_rng(3).integers(0, 8, 20000, dtype=np.int32)
    counts = np.zeros(8, np.int32)
    histogram.with_options(pool=ThreadPool(3))(x, counts)
    assert counts.tolist() == np.bincount(x, minlength=8).tolist()


def test_atomic_operations_give_what_was_there() -> None:
    answers = []
    for run in (every_update, every_update.with_options(optimise=False), every_update.compile().interpret):
        x, y = np.zeros(2, np.uint32), np.full((2, 2), 3, np.int64)
        answers.append((int(run(x, y)), x.tolist(), y.tolist()))
    assert answers[0] == (7 + 90 + 3000 + 4294967295, [4294967295, 0], [[3, 3], [-5, 3]])
    assert answers[1:] == [answers[0]] * 2


def test_an_atomic_beside_a_plain_access_is_a_race() -> None:
    @kernel
    def mixed(x: View[i32, 1], counts: MutView[i32, 1]):
        for i in parallel(len(x)):
            atomic_add(counts, 0, i32(1))
            counts[0] = x[i]

    with pytest.raises(RaceError, match="may write the same place of 'counts'"):
        mixed.lower()
