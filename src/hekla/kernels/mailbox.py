"""A bounded lock-free mailbox: many senders, one receiver, first in first out.

Shapes:  box (1,) of a mailbox record of a capacity and a word count; words (words,) u64, a message.
Gives:   putting FULL, TAKEN or CLOSED; taking EMPTY, TAKEN or CLOSED (closed, and nothing left).
Order:   messages of one sender are taken in the order it put them; all in the order their places were claimed.
Waits:   `try_put` and `try_take` never; `put` while it is full, `take` while it is empty: spinning, then asleep.
Close:   no message is put after it; what was put before is still taken.
Source:  Vyukov's bounded queue (1024cores.net), with laps instead of numbers so that zeros are an empty mailbox.

The kernels are the language's own, because its actors are made of them (hekla.lang.mailbox tells how they work);
here they are held against a queue of Python's.
"""

from collections import deque

import numpy as np

from hekla.lang import Array, MutView, TypeParam, View, buffer, i32, kernel, u64
from hekla.lang.mailbox import (
    CLOSED,
    EMPTY,
    FULL,
    TAKEN,
    close,
    mailbox_fields,
    put,
    take,
    try_put,
    try_take,
)  # fmt: skip
from hekla.lang.sweep import Sweep
from hekla.lang.types import StructType

__all__ = [
    "CLOSED",
    "EMPTY",
    "FULL",
    "SWEEPS",
    "TAKEN",
    "close",
    "mailbox_record",
    "put",
    "take",
    "try_put",
    "try_take",
]
PUT, TAKE, CLOSE = 0, 1, 2
CAPACITIES = (1, 2, 8)
M = TypeParam("M")


def mailbox_record(capacity: int, words: int = 1) -> StructType:
    """Return the record of a mailbox; `capacity` is a power of two."""
    fields = mailbox_fields(capacity, words)
    return StructType(f"Mailbox{capacity}x{words}", fields, tuple(range(len(fields))))


def reference_drive(capacity):
    """Say it with a deque: what a mailbox of a capacity gives for a row of operations."""

    def drive(operations, values, given, taken):
        waiting, is_closed = deque(), False
        for i, operation in enumerate(operations):
            if operation == PUT:
                given[i] = CLOSED if is_closed else FULL if len(waiting) == capacity else TAKEN
                if given[i] == TAKEN:
                    waiting.append(values[i])
            elif operation == TAKE:
                given[i] = TAKEN if waiting else CLOSED if is_closed else EMPTY
                if waiting:
                    taken[i] = waiting.popleft()
            else:
                is_closed = True

    return drive


@kernel
def drive(operations: View[i32, 1], values: View[u64, 1], given: MutView[i32, 1], taken: MutView[u64, 1]):
    """Try a row of operations on an empty mailbox, in one thread."""
    memory = buffer(M, 1)
    box = memory.view()
    words = Array[u64, 1](0)
    for i in range(len(operations)):
        if operations[i] == PUT:
            words[0] = values[i]
            given[i] = try_put(box, words.view())
        elif operations[i] == TAKE:
            given[i] = try_take(box, words.mut())
            if given[i] == TAKEN:
                taken[i] = words[0]
        else:
            close(box)


def cases(rng):
    """Return rows of operations: none, one of each, many with and without an end, and to the brim and back."""
    rows = [[], [PUT], [TAKE], [CLOSE, PUT, TAKE], [PUT, CLOSE, TAKE, TAKE, PUT], ([PUT] * 9 + [TAKE] * 9) * 3]
    rows += [rng.choice([PUT, TAKE], 60, p=[likely, 1 - likely]).tolist() for likely in (0.5, 0.7)]
    rows.append([*rng.integers(0, 2, 30).tolist(), CLOSE, *rng.integers(0, 2, 30).tolist()])
    found = []
    for row in rows:
        n = len(row)
        values = rng.integers(0, 2**64, n, dtype=np.uint64)
        found.append((np.array(row, np.int32), values, np.zeros(n, np.int32), np.zeros(n, np.uint64)))
    return found


SWEEPS = tuple(
    Sweep(drive, reference_drive(c), cases, named=(("M", mailbox_record(c)),), label=f"mailbox_{c}") for c in CAPACITIES
)
