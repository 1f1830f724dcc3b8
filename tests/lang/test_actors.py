"""Actors: messages, full mailboxes, answers, ends, faults, placement, and what is refused."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,attr-defined,no-any-return"
# mypy: disable-error-code="assignment"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import ConfigError, UnsupportedError
from hekla.lang import (
    Array,
    Atomic,
    CheckError,
    DeadlockError,
    KernelTypeError,
    Mutex,
    MutView,
    Options,
    View,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    index,
    kernel,
    lock,
    u8,
    u16,
    u32,
    u64,
)
from hekla.lang.actors import Address, actor
from hekla.lang.errors import ActorStoppedError, ArgumentError
from hekla.lang.lock_order import LockOrder

SCALARS = {
    "i8": -5, "i16": -500, "i32": -70000, "i64": -(1 << 40), "index": 1 << 40, "u8": 250, "u16": 60000,
    "u32": 1 << 31, "u64": 1 << 63, "f32": -0.25, "f64": 1e300, "bool": True,
}  # fmt: skip


@actor(mailbox=8)
class Counter:
    """Adds up."""

    total: i64 = 0
    count: i64 = 0
    recent: Array[i64, 4] = (0, 0, 0, 0)

    def add(self, amount: i64):
        self.total += amount
        self.recent[self.count % 4] = amount
        self.count += 1

    def get(self) -> i64:
        return self.total


@actor
class Echo:
    """Gives back what it gets."""

    def i8(self, x: i8) -> i8:
        return x

    def i16(self, x: i16) -> i16:
        return x

    def i32(self, x: i32) -> i32:
        return x

    def i64(self, x: i64) -> i64:
        return x

    def index(self, x: index) -> index:
        return x

    def u8(self, x: u8) -> u8:
        return x

    def u16(self, x: u16) -> u16:
        return x

    def u32(self, x: u32) -> u32:
        return x

    def u64(self, x: u64) -> u64:
        return x

    def f32(self, x: f32) -> f32:
        return x

    def f64(self, x: f64) -> f64:
        return x

    def bool(self, x: bool) -> bool:
        return x


@actor(mailbox=1)
class Gated:
    """Waits at a gate inside of its first message."""

    gate: View[Atomic[u32], 1]
    seen: i64 = 0

    def pass_gate(self):
        while self.gate[0].load() == 0:
            self.gate[0].wait(0, unproved="the test opens it")

    def note(self):
        self.seen += 1


@actor(mailbox=4)
class Relay:
    """Sends on what it gets, in parts."""

    to: Address[Counter]
    weights: View[i64, 1]

    def spread(self, n: i64):
        for i in range(index(n)):
            self.to.add.send(self.weights[i % len(self.weights)])


@actor
class Bounded:
    """Meets a fault in a checked build."""

    places: Array[i64, 4] = (0, 0, 0, 0)

    def put(self, at: index):
        self.places[at] = 1

    def get(self, at: index) -> i64:
        return self.places[at]


@kernel
def feed(to: Address[Counter], n: index) -> index:
    """Send as long as the actor takes messages."""
    for i in range(n):
        if not to.add.send(1):
            return i
    return n


@kernel
def offer(to: Address[Counter], n: index) -> index:
    taken = index(0)
    for _ in range(n):
        if to.add.try_send(1):
            taken += 1
    return taken


def open_gate(gate: "np.ndarray[Any, Any]") -> None:
    """Let a Gated actor go on."""
    set_gate(gate)


@kernel
def set_gate(gate: View[Atomic[u32], 1]):
    gate[0].store(1)
    gate[0].wake(9)


def start_threads(count: int, work: Any) -> list[threading.Thread]:
    """Start threads that run work(i)."""
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join_all(threads: list[threading.Thread]) -> None:
    """Wait for threads, and fail where one hangs."""
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_messages_of_many_senders_are_all_handled_one_after_the_other() -> None:
    with Counter.start() as counter:
        join_all(start_threads(5, lambda i: [counter.add.send(1) for _ in range(2000)]))
        join_all(start_threads(5, lambda i: feed(counter.address, 2000)))
        assert counter.get.ask() == 20000
    assert (counter.state["total"], counter.state["count"]) == (20000, 20000)


def test_one_senders_messages_are_handled_in_their_order() -> None:
    with Counter.start(total=100) as counter:
        for amount in range(1001):
            counter.add.send(amount)
    assert counter.state["recent"].tolist() == [1000, 997, 998, 999]
    assert counter.state["total"] == 100 + 500500


def test_every_kind_of_scalar_comes_back_as_it_was_sent() -> None:
    with Echo.start() as echo:
        answers = {name: getattr(echo, name).ask(value) for name, value in SCALARS.items()}
    assert answers == SCALARS
    assert type(answers["bool"]) is bool


def test_a_full_mailbox_refuses_try_send_and_lets_send_wait() -> None:
    gate = np.zeros(1, Atomic[u32].dtype)
    with Gated.start(gate=gate) as gated:
        gated.pass_gate.send()
        gated.note.send()  # taken when the first one is being handled: then the only cell is full
        assert not gated.note.try_send()
        waiting = start_threads(3, lambda i: gated.note.send())
        open_gate(gate)
        join_all(waiting)
    assert gated.state["seen"] == 4


def test_stopping_while_full_frees_the_senders_and_handles_what_was_taken() -> None:
    gate = np.zeros(1, Atomic[u32].dtype)
    gated = Gated.start(gate=gate)
    gated.pass_gate.send()
    gated.note.send()
    refused: list[str] = []

    def late(i: int) -> None:
        try:
            gated.note.send()
        except ActorStoppedError as error:
            refused.append(str(error))

    waiting = start_threads(3, late)
    gated.stop()
    join_all(waiting)
    assert refused == ["Gated: it was stopped, and takes no messages"] * 3
    open_gate(gate)
    gated.join()
    assert gated.state["seen"] == 1
    gated.stop()
    gated.join()  # both may be said again


def test_kernels_send_and_see_that_an_actor_was_stopped() -> None:
    with Counter.start() as counter:
        assert feed(counter.address, 10) == 10
    assert feed(counter.address, 10) == 0
    assert offer(counter.address, 10) == 0
    assert counter.state["total"] == 10


def test_actors_send_to_actors_and_read_what_they_were_lent() -> None:
    weights = np.array([1, 2, 3], np.int64)
    weights.flags.writeable = False
    with Counter.start() as counter, Relay.start(to=counter, weights=weights) as relay:
        for _ in range(10):
            relay.spread.send(30)
    assert counter.state["total"] == 600


def test_the_definition_handles_messages_as_threads_do() -> None:
    weights = np.array([1, 2, 3], np.int64)
    weights.flags.writeable = False
    counter = Counter.start(interpreted=True)
    relay = Relay.start(interpreted=True, to=counter, weights=weights)
    relay.spread.send(5)
    assert (relay.waiting, counter.waiting) == (1, 0)
    assert relay.step()
    assert (relay.waiting, counter.waiting) == (0, 5)
    while counter.step():
        pass
    assert counter.state["total"] == 9
    with pytest.raises(UnsupportedError, match="nobody would answer"):
        counter.get.ask()
    for _ in range(8):
        counter.add.send(1)
    with pytest.raises(UnsupportedError, match="it is full, and nobody else empties it"):
        counter.add.send(1)
    relay.spread.send(9)
    with pytest.raises(CheckError, match="this waits for another thread, and there is none"):
        relay.step()


def test_a_fault_ends_an_actor_and_is_told_to_everybody() -> None:
    actor_ = Bounded.start(options=Options(checked=True))
    actor_.put.send(3)
    assert actor_.get.ask(3) == 1
    with pytest.raises(CheckError, match="an index is out of bounds"):
        actor_.get.ask(4)
    with pytest.raises(CheckError) as caught:
        actor_.join()
    assert caught.value.span.line_text().strip() == "return self.places[at]"
    with pytest.raises(CheckError, match="an index is out of bounds"):
        actor_.put.send(1)


def test_asking_from_more_threads_than_there_are_slots_gives_everybody_an_answer() -> None:
    answers: list[int] = []
    with Counter.start(total=7) as counter:
        join_all(start_threads(24, lambda i: answers.extend(counter.get.ask() for _ in range(20))))
    assert answers == [7] * 480


def test_an_actor_runs_where_and_as_urgently_as_it_is_told() -> None:
    processor = min(os.sched_getaffinity(0))
    before = set(os.listdir("/proc/self/task"))
    with Counter.start(affinity=processor, priority=5):
        (number,) = (int(n) for n in set(os.listdir("/proc/self/task")) - before)
        assert os.sched_getaffinity(number) == {processor}
        assert os.getpriority(os.PRIO_PROCESS, number) == 5
    with pytest.raises(UnsupportedError, match="there is no processor 5000"):
        Counter.start(affinity=5000)


def test_a_process_that_ends_with_actors_running_ends_well(tmp_path: Path) -> None:
    program = tmp_path / "leaves.py"
    program.write_text(
        "from hekla.lang import i64\nfrom hekla.lang.actors import actor\n\n@actor\nclass Counter:\n"
        "    total: i64 = 0\n\n"
        "    def add(self, n: i64):\n        self.total += n\n\n"
        "counters = [Counter.start() for _ in range(3)]\nfor c in counters:\n    c.add.send(1)\nprint('done')\n"
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


# --- what is refused ----------------------------------------------------------------------------------------


def test_what_is_lent_must_be_shared_or_written_by_nobody() -> None:
    with Counter.start() as counter, pytest.raises(ArgumentError, match="may be written while the actor reads it"):
        Relay.start(to=counter, weights=np.zeros(3, np.int64))
    with pytest.raises(ConfigError, match="the field 'to' has no value"):
        Relay.start()
    with pytest.raises(ConfigError, match="no field 'form'"):
        Counter.start(form=1)
    with Counter.start() as counter:
        with pytest.raises(ArgumentError, match=r"takes a whole number \(i64\), got float"):
            counter.add.send(1.5)
        with pytest.raises(ArgumentError, match=r"Counter.add: takes 1 values \(amount\), got 2"):
            counter.add.send(1, 2)
        with pytest.raises(ArgumentError, match="answers nothing"):
            counter.add.ask(1)
        with pytest.raises(AttributeError, match="takes no message 'sub'; it takes add, get"):
            counter.sub.send(1)
        with pytest.raises(UnsupportedError, match="its fields are its own while it runs"):
            _ = counter.state


def test_an_actor_that_cannot_be_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="a message cannot be called 'stop'"):

        @actor
        class Stops:
            def stop(self):
                pass

    with pytest.raises(ConfigError, match="a message cannot be called '__init__'"):

        @actor
        class Initialised:
            def __init__(self):
                pass

    with pytest.raises(ConfigError, match="mailbox=6 is not a power of two"):

        @actor(mailbox=6)
        class Odd:
            def go(self):
                pass

    @actor
    class Writer:
        out: MutView[f32, 1]

        def go(self):
            self.out[0] = 1.0

    with pytest.raises(ConfigError, match=r"field 'out' is MutView\[f32, 1\], which others may write"):
        Writer.start(out=np.zeros(1, np.float32))

    @actor
    class Misspelt:
        total: i64 = 0

        def go(self):
            self.totl += 1

    with pytest.raises(KernelTypeError, match="the actor has no field 'totl'") as caught:
        Misspelt.start()
    assert caught.value.span.line_text().strip() == "self.totl += 1"

    @actor
    class Passes:
        def go(self, x: View[f32, 1]):
            pass

    with pytest.raises(KernelTypeError, match=r"a message carries scalars, got x: View\[f32, 1\]"):
        Passes.start()


@kernel
def wrong_message(to: Address[Counter]):
    to.sub.send(1)


@kernel
def asking(to: Address[Counter]) -> i64:
    return to.get.ask()


def test_a_wrong_send_in_a_kernel_is_refused_at_its_place() -> None:
    with pytest.raises(KernelTypeError, match="Counter takes no message 'sub'"):
        wrong_message.compile()
    with pytest.raises(KernelTypeError, match="by send or try_send, not by ask"):
        asking.compile()


@actor
class Locks:
    """Takes a lock within a message."""

    bank: View[Mutex[i64], 1]

    def add(self, n: i64):
        with lock(self.bank[0]) as total:
            total += n


@kernel
def send_while_locked(to: Address[Locks], bank: View[Mutex[i64], 1]):
    with lock(bank[0]) as total:
        total += 1
        to.add.send(1)


@kernel
def try_while_locked(to: Address[Locks], bank: View[Mutex[i64], 1]):
    with lock(bank[0]) as total:
        total += 1
        if to.add.try_send(1):
            total += 1


def test_a_send_that_may_wait_for_who_waits_for_the_lock_is_refused() -> None:
    order = LockOrder()
    bank = np.zeros(1, Mutex[i64].dtype)
    with Locks.start(options=Options(order=order), bank=bank):
        pass
    with pytest.raises(DeadlockError) as caught:
        send_while_locked.with_options(order=order).compile()
    shown = str(caught.value)
    assert "this waits for actor Locks while Mutex[i64] is held, and elsewhere it is the other way round" in shown
    for line in ("to.add.send(1)", "with lock(self.bank[0]) as total:"):
        assert line in shown
    try_while_locked.with_options(order=order).compile()


@actor
class Ping:
    """Sends to Pong, which sends to Ping."""

    peer: "Address[Pong]"

    def hit(self, n: i64):
        self.peer.hit.send(n)


@actor
class Pong:
    """Sends to Ping, and waits while its mailbox is full."""

    peer: "Address[Ping]"

    def hit(self, n: i64):
        self.peer.hit.send(n)


@actor
class Polite:
    """Sends to Ping, and does not wait."""

    peer: "Address[Ping]"

    def hit(self, n: i64):
        if not self.peer.hit.try_send(n):
            pass


def test_actors_that_may_wait_for_each_other_in_a_ring_are_refused() -> None:
    order = LockOrder()
    Ping.code(Options(order=order))
    assert ("actor Ping", "actor Pong") in order.edges
    with pytest.raises(DeadlockError, match="this waits for actor Ping while actor Pong is held") as caught:
        Pong.code(Options(order=order))
    assert caught.value.span.line_text().strip() == "self.peer.hit.send(n)"
    Polite.code(Options(order=order))


@actor(mailbox=2)
class Ordered:
    """Sees whether the messages of each sender come in their order."""

    last: Array[i64, 4] = (0, 0, 0, 0)
    wrong: i64 = 0

    def take(self, sender: index, number: i64):
        if number != self.last[sender] + 1:
            self.wrong += 1
        self.last[sender] = number


@kernel
def send_in_order(to: Address[Ordered], sender: index, n: index):
    for i in range(n):
        if not to.take.send(sender, i64(i) + 1):
            return


def test_many_senders_that_wait_for_room_each_keep_their_order() -> None:
    with Ordered.start() as ordered:
        join_all(start_threads(4, lambda i: send_in_order(ordered.address, i, 3000)))
    assert ordered.state["wrong"] == 0
    assert ordered.state["last"].tolist() == [3000] * 4


@actor(mailbox=1)
class Narrow:
    """Counts what comes through a mailbox of one message."""

    count: i64 = 0

    def take(self):
        self.count += 1


@kernel
def send_some(to: Address[Narrow], n: index):
    for _ in range(n):
        if not to.take.send():
            return


@pytest.mark.parametrize("each", [1, 100])
def test_no_sender_sleeps_for_ever_where_few_are_woken_at_a_time(each: int) -> None:
    with Narrow.start() as narrow:
        join_all(start_threads(24, lambda _: send_some(narrow.address, each)))
    assert narrow.state["count"] == 24 * each
