"""What threads share: atomics, mutexes, and the order in which locks are taken."""
# mypy: disable-error-code="valid-type,arg-type,call-overload,no-untyped-def,misc,operator,type-arg,index"
# mypy: disable-error-code="attr-defined,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import re
import threading
from collections.abc import Callable

import numpy as np
import pytest

from hekla.base.errors import ConfigError, UnsupportedError
from hekla.lang import (
    Array,
    Atomic,
    CheckError,
    DeadlockError,
    Mutex,
    MutView,
    View,
    buffer,
    dense,
    f32,
    f64,
    i32,
    i64,
    index,
    kernel,
    lock,
    parallel,
    pause,
    struct,
    u32,
)
from hekla.lang.explain import explain_layout
from hekla.lang.ir.printer import print_module
from hekla.lang.link.build import Kind
from hekla.lang.llvm.pool import ThreadPool
from hekla.lang.lock_order import LockOrder
from hekla.lang.products import build_product, header_of

THREADS = 4
TURNS = 20000


@struct
class Account:
    balance: i64
    changes: i64


@struct
class Stats:
    kind: i32
    hits: Atomic[i64]
    misses: Atomic[i64]


@kernel
def tally(x: View[i32, 1], stats: View[Stats, 1], counts: View[Atomic[i64], 1]):
    for i in parallel(len(x)):
        if x[i] > 0:
            stats[0].hits.add(1, order="relaxed")
        else:
            stats[0].misses.add(1)
        counts[i % len(counts)].add(i64(x[i]))


@kernel
def deposit(bank: View[Mutex[Account], 1], at: index, turns: index):
    for _ in range(turns):
        with lock(bank[at]) as account:
            account.balance += 3
            account.changes += 1


@kernel
def move(bank: View[Mutex[Account], 1], a: index, b: index, amount: i64, turns: index):
    low = min(a, b)
    high = max(a, b)
    sign = i64(1) if a < b else i64(-1)
    if low != high:
        for _ in range(turns):
            with lock(bank[low]) as x, lock(bank[high]) as y:
                x.balance -= sign * amount
                y.balance += sign * amount


@kernel
def leaves_early(bank: View[Mutex[Account], 1], how: i32) -> i64:
    for _ in range(4):
        with lock(bank[0]) as account:
            account.changes += 1
            if how == 1:
                continue
            if how == 2:
                break
            if how == 3:
                return account.changes
    with lock(bank[0]) as account:
        return 100 + account.changes


@kernel
def faults_while_held(bank: View[Mutex[Account], 1], x: MutView[f32, 1], at: index):
    with lock(bank[0]) as account:
        account.changes += 1
        x[at] = 1.0


@kernel
def own(n: index) -> i64:
    total = Atomic[i64](5)
    shared = total.view()
    parts = Array[Atomic[i64], 4](0)
    places = parts.view()
    heap = buffer(Atomic[i64], 3)
    heap_view = heap.view()
    m = Mutex[i64](7)
    mutex = m.view()
    for i in parallel(n):
        shared[0].add(1)
        places[i % 4].add(2)
        heap_view[i % 3].max(i64(i))
        with lock(mutex[0]) as content:
            content += 1
    with lock(m) as content:
        return total.load() + places[3].load() * 1000 + content * 1000000 + heap_view[0].load() * 1000000000


def run_together(work: Callable[[int], None]) -> None:
    """Run work(0), work(1), ... in threads of their own."""
    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_atomics_are_shared_through_reading_views_and_lie_on_lines_of_their_own() -> None:
    x = np.arange(-5, 1000, dtype=np.int32)
    results = []
    for run in (tally.with_options(pool=ThreadPool(3)), tally.compile().interpret, tally.with_options(checked=True)):
        stats, counts = np.zeros(1, Stats.dtype), np.zeros(3, Atomic[i64].dtype)
        run(x, stats, counts)
        results.append((stats["hits"]["value"].tolist(), stats["misses"]["value"].tolist(), counts["value"].tolist()))
    assert results[0] == ([999], [6], [int(x[r::3].sum()) for r in range(3)])
    assert results[1:] == [results[0]] * 2
    places = {f.name: f.offset for f in explain_layout(Stats).stored.fields}
    assert places == {"hits": 0, "misses": 64, "kind": 128}
    assert (Stats.dtype.itemsize, Atomic[i64].dtype.itemsize, Atomic[i64, dense].dtype.itemsize) == (192, 64, 8)


def test_what_is_local_can_be_shared_with_the_iterations_of_a_loop() -> None:
    expected = 99 * 1000000000 + 107 * 1000000 + 50 * 1000 + 105
    assert own.with_options(pool=ThreadPool(2))(100) == expected
    assert own.compile().interpret(100) == expected
    assert own.with_options(optimise=False, checked=True)(100) == expected


def test_an_atomic_or_a_mutex_of_the_wrong_kind_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="an Atomic is an integer of 32 or 64 bits, got f32"):
        Atomic[f32]
    with pytest.raises(ConfigError, match=r"a Mutex cannot guard Atomic\[i64\]"):
        Mutex[Atomic[i64]]


def test_a_mutex_loses_no_update_of_threads_that_meet_there() -> None:
    bank = np.zeros(2, Mutex[Account].dtype)
    run_together(lambda i: deposit(bank, 1, TURNS))
    assert bank["value"]["balance"].tolist() == [0, 3 * THREADS * TURNS]
    assert bank["value"]["changes"].tolist() == [0, THREADS * TURNS]
    assert bank["state"].tolist() == [0, 0]


def test_transfers_both_ways_between_two_accounts_end_and_keep_the_sum() -> None:
    bank = np.zeros(2, Mutex[Account].dtype)
    run_together(lambda i: move(bank, i % 2, 1 - i % 2, 7, TURNS))
    assert bank["value"]["balance"].sum() == 0
    assert bank["state"].tolist() == [0, 0]


@pytest.mark.parametrize("how", range(4))
def test_a_lock_is_given_back_on_every_way_out(how: int) -> None:
    answers = []
    compiled = leaves_early.compile()
    for run in (leaves_early, compiled.interpret, leaves_early.with_options(optimise=False)):
        bank = np.zeros(1, Mutex[Account].dtype)
        answers.append(int(run(bank, how)))
        assert bank["state"].tolist() == [0]
    assert answers == [{0: 104, 1: 104, 2: 101, 3: 1}[how]] * 3


def test_a_fault_gives_back_the_locks_it_meets() -> None:
    for run in (faults_while_held.with_options(checked=True), faults_while_held.compile().interpret):
        bank = np.zeros(1, Mutex[Account].dtype)
        with pytest.raises(CheckError):
            run(bank, np.zeros(2, np.float32), 2)
        assert bank["state"].tolist() == [0]
        run(bank, np.zeros(2, np.float32), 1)
        assert bank["value"]["changes"].tolist() == [2]


def test_the_interpreter_names_the_line_that_would_wait_for_ever() -> None:
    bank = np.zeros(1, Mutex[Account].dtype)
    bank["state"] = 1
    with pytest.raises(CheckError, match="a deadlock: this lock is held already") as caught:
        deposit.compile().interpret(bank, 0, 1)
    assert caught.value.span.line_text().strip() == "with lock(bank[at]) as account:"


FIRST, SECOND = "first", "second"


@kernel
def first_then_second(a: View[Mutex[f64, FIRST], 1], b: View[Mutex[f64, SECOND], 1]):
    with lock(a[0]) as x, lock(b[0]) as y:
        x += y


@kernel
def second_then_first(a: View[Mutex[f64, FIRST], 1], b: View[Mutex[f64, SECOND], 1]):
    with lock(b[0]) as y, lock(a[0]) as x:
        x += y


def test_two_kernels_that_take_locks_in_opposite_orders_cannot_both_be_compiled() -> None:
    order = LockOrder()
    first_then_second.with_options(order=order).compile()
    with pytest.raises(DeadlockError) as caught:
        second_then_first.with_options(order=order).compile()
    shown = str(caught.value)
    for line in ("with lock(a[0]) as x, lock(b[0]) as y:", "with lock(b[0]) as y, lock(a[0]) as x:"):
        assert line in shown
    assert 'the other way: Mutex[f64, "first"] is locked' in shown
    assert list(order.edges) == [('Mutex[f64, "first"]', 'Mutex[f64, "second"]')], "what was refused is not added"
    second_then_first.with_options(order=LockOrder()).compile()


def test_the_printed_form_shows_the_place_of_a_lock_and_of_an_atomic() -> None:
    shown = print_module(leaves_early.lower()[0])
    assert re.search(r"memref.lock %\d+\[%\d+\] : memref<\?x!hekla.Mutex\[Account\], const>, index", shown)
    assert re.search(r"memref.unlock %\d+\[%\d+\] :", shown)
    shown = print_module(tally.lower()[0])
    assert re.search(r"memref.atomic_add %stats\[%\d+\]\.1\.0, %\d+ \{order = 'relaxed'\}", shown)


@kernel
def publish(data: View[Atomic[i64], 1], flag: View[Atomic[u32], 1], rounds: index):
    """Write, then raise the flag; wait until it was lowered."""
    for i in range(rounds):
        data[0].store(i64(i) * 2, order="relaxed")
        data[1].store(i64(i) * 3, order="relaxed")
        flag[0].store(1, order="release")
        while flag[0].load(order="acquire") == 1:
            pause()


@kernel
def observe(data: View[Atomic[i64], 1], flag: View[Atomic[u32], 1], rounds: index) -> index:
    """See the flag, then what was written before it."""
    wrong = index(0)
    for i in range(rounds):
        while flag[0].load(order="acquire") == 0:
            pause()
        if data[0].load(order="relaxed") != i64(i) * 2 or data[1].load(order="relaxed") != i64(i) * 3:
            wrong += 1
        flag[0].store(0, order="release")
    return wrong


@pytest.mark.parametrize(("target", "kind"), [("wasm32", "object"), ("thumb-cortex-m7", "object"), ("native", "flat")])
def test_a_product_without_threads_refuses_locks_where_they_are_taken(target: str, kind: Kind) -> None:
    with pytest.raises(UnsupportedError, match="locks and waits need threads, which") as caught:
        build_product(deposit, target=target, kind=kind)
    assert "test_shared.py" in caught.value.where


def test_a_lock_shared_with_c_has_a_name_and_lines_of_its_own_there() -> None:
    header = header_of(deposit, target="x86-64-v3")
    assert "HEKLA_ALIGN(64) uint32_t state;\n" in header
    assert "} Mutex_Account;" in header
    assert "(Mutex_Account *bank, " in header, "neither const nor restrict: other threads write there"


@kernel
def look(a: View[Atomic[i64], 1]) -> i64:
    return a[0].load()


@kernel
def bump(a: View[Atomic[i64], 1]) -> i64:
    return a[0].add(1)


def test_what_ebpf_has_no_atomic_instruction_for_is_refused_with_another_way() -> None:
    with pytest.raises(UnsupportedError, match=r"has no atomic load; add\(0\) reads"):
        build_product(look, target="bpf", kind="object")
    assert build_product(bump, target="bpf", kind="object").content


def test_what_is_written_before_a_release_is_seen_after_its_acquire() -> None:
    data, flag = np.zeros(2, Atomic[i64].dtype), np.zeros(1, Atomic[u32].dtype)
    rounds = 2000
    wrong: list[int] = []
    writer = threading.Thread(target=publish, args=(data, flag, rounds))
    writer.start()
    wrong.append(observe(data, flag, rounds))
    writer.join(timeout=60)
    assert wrong == [0]


@kernel
def store_then_look(
    mine: View[Atomic[u32], 1], other: View[Atomic[u32], 1], gate: View[Atomic[u32], 1], seen: MutView[u32, 1]
):
    """Dekker's litmus: with seq_cst at least one of two threads sees the other."""
    for i in range(len(seen)):
        gate[0].add(1)
        while gate[0].load() < 2 * (u32(i) + 1):
            pause()
        mine[i].store(1)
        seen[i] = other[i].load()


def test_of_two_threads_that_store_and_then_look_one_sees_the_other() -> None:
    rounds = 1000
    a, b = (np.zeros(rounds, Atomic[u32].dtype) for _ in range(2))
    gate = np.zeros(1, Atomic[u32].dtype)
    seen = [np.zeros(rounds, np.uint32) for _ in range(2)]
    thread = threading.Thread(target=store_then_look, args=(b, a, gate, seen[1]))
    thread.start()
    store_then_look(a, b, gate, seen[0])
    thread.join(timeout=60)
    assert (seen[0] + seen[1] >= 1).all()


@kernel
def sleep_until(flag: View[Atomic[u32], 1]) -> u32:
    while flag[0].load(order="acquire") == 0:
        flag[0].wait(0, unproved="the test sets it")
    return flag[0].load()


@kernel
def wake(flag: View[Atomic[u32], 1]):
    flag[0].store(1, order="release")
    flag[0].wake(1)


def test_a_wait_sleeps_until_it_is_woken_and_the_interpreter_says_that_nobody_will() -> None:
    flag = np.zeros(1, Atomic[u32].dtype)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(sleep_until(flag)))
    thread.start()
    wake(flag)
    thread.join(timeout=60)
    assert answers == [1]
    flag["value"] = 0
    with pytest.raises(CheckError, match="this waits for another thread, and there is none"):
        sleep_until.compile().interpret(flag)
