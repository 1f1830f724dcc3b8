"""Parallel loops: the same results as one after the other, proofs, pools, forks, faults."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,attr-defined"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

from hekla.lang import CheckError, MutView, RaceError, View, f32, i32, index, kernel, load, parallel, store
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
