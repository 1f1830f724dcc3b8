"""A bounded mailbox: many senders, one receiver, no locks; written in the language.

A ring of cells after Vyukov's bounded queue (1024cores.net). `tail` counts messages that senders claimed, `head` those
that were received. A cell's `turn` says what it may be used for: 2 * lap while it is free for that lap of the ring,
2 * lap + 1 while its message lies there. Memory of zeros is an empty mailbox.

Both sides look again and again for a while and then sleep. The receiver sets `asleep` and looks once more before it
sleeps; a sender looks at `asleep` after its message lies there: both in the one order of seq_cst: one sees the other.
One sender at a time, which holds `looking`, looks again and again at a full mailbox; the others count themselves in
`waiting` and sleep on `room` at once: a hundred that look keep the receiver from running. The receiver counts `room` up
and wakes one of them after each half of the cells, and while it finds nothing; who was woken and finds half of the
cells free wakes the next. So few are awake at a time, and none sleeps while the receiver has nothing to do.

Closing sets the highest bit of `tail`, so no message is claimed after it, and every claimed one is received.

A reply is a slot that the asker chose: 0 free, 1 asked, 2 answered, 3 the receiver ended without an answer.
"""

from hekla.lang import types as t
from hekla.lang.kernel import kernel
from hekla.lang.surface import Atomic, Const, MutView, View, dense, pause, unroll, yield_now
from hekla.lang.types import TypeParam, i32, index, u32, u64

FULL, TAKEN, CLOSED = 0, 1, 2  # what putting gives
EMPTY = 0  # what taking gives, besides TAKEN and CLOSED (which is: and empty)
ASKED, ANSWERED, UNANSWERED = 1, 2, 3
CLOSED_BIT = 1 << 63
PAUSES = 20  # looks while the processor only pauses: for a partner who runs on another one
LOOKS = 24  # in all before a thread sleeps; the last give way to a partner on this processor
EVERYBODY = (1 << 31) - 1
REPLIES = 16  # askers at one time
NO_REPLY = (1 << 64) - 1  # the slot of a message that nobody asked with
M = TypeParam("M")


def mailbox_fields(capacity: int, words: int) -> tuple[tuple[str, t.Type], ...]:
    """Return the fields of a mailbox of `capacity` messages, a power of two, of `words` words of 64 bits."""
    count, flag, word = (t.atomic_type(u64), t.atomic_type(u32), t.atomic_type(u64, dense=True))
    cell = t.StructType("Cell", (("turn", word), ("words", t.ArrayType(word, words))), (0, 1))
    reply = t.StructType("Reply", (("state", flag), ("word", word)), (0, 1))
    return (
        ("tail", count), ("head", count), ("asleep", flag), ("room", flag), ("waiting", flag), ("looking", flag),
        ("replies", t.ArrayType(reply, REPLIES)), ("cells", t.ArrayType(cell, capacity)),
    )  # fmt: skip


@kernel(inline=True)
def hesitate(turn: index):
    """Pass the time between two looks."""
    if turn < PAUSES:
        pause()
    else:
        yield_now()


@kernel(inline=True)
def try_put(box: View[M, 1], words: View[u64, 1], *, order: Const = "acquire") -> i32:
    """Put a message where there is room: FULL, TAKEN or CLOSED."""
    capacity: Const = len(box[0].cells)
    at = box[0].tail.load(order="relaxed")
    while True:
        if at >= CLOSED_BIT:
            return CLOSED
        cell = index(at % capacity)
        free = at // capacity * 2
        turn = box[0].cells[cell].turn.load(order=order)
        if turn == free:
            seen = box[0].tail.compare_exchange(at, at + 1, order="relaxed")
            if seen == at:
                for i in unroll(range(len(box[0].cells[0].words))):
                    box[0].cells[cell].words[i].store(words[i], order="relaxed")
                box[0].cells[cell].turn.store(free + 1)
                if box[0].asleep.load() != 0 and box[0].asleep.exchange(0) != 0:
                    box[0].asleep.wake(1)
                return TAKEN
            at = seen
        elif turn < free:
            return FULL
        else:
            at = box[0].tail.load(order="relaxed")


@kernel
def put(box: View[M, 1], words: View[u64, 1]) -> i32:
    """Put a message, and wait while the mailbox is full: TAKEN or CLOSED."""
    done = try_put(box, words)
    if done != FULL:
        return done
    if box[0].looking.exchange(1, order="relaxed") == 0:
        for turn in range(LOOKS):
            hesitate(turn)
            done = try_put(box, words)
            if done != FULL:
                break
        box[0].looking.store(0, order="relaxed")
        if done != FULL:
            return done
    box[0].waiting.add(1)
    while True:
        room = box[0].room.load()
        done = try_put(box, words, order="seq_cst")
        if done != FULL:
            others = box[0].waiting.add(4294967295) - 1
            used = box[0].tail.load(order="relaxed") - box[0].head.load(order="relaxed")
            if others != 0 and used <= len(box[0].cells) // 2:
                box[0].room.wake(1)
            return done
        box[0].room.wait(room, unproved="the receiver makes room while it finds nothing, and before it sleeps or ends")


@kernel
def make_room(box: View[M, 1], senders: i32):
    """Wake some of the senders that wait."""
    box[0].room.add(1)
    box[0].room.wake(senders)


@kernel(inline=True)
def try_take(box: View[M, 1], words: MutView[u64, 1], *, order: Const = "acquire") -> i32:
    """Take the oldest message where there is one: EMPTY, TAKEN or CLOSED. For the one receiver."""
    capacity: Const = len(box[0].cells)
    at = box[0].head.load(order="relaxed")
    cell = index(at % capacity)
    full = at // capacity * 2 + 1
    if box[0].cells[cell].turn.load(order=order) != full:
        if box[0].tail.load(order=order) == at + CLOSED_BIT:
            return CLOSED
        if box[0].waiting.load(order="relaxed") != 0:
            make_room(box, 1)
        return EMPTY
    for i in unroll(range(len(box[0].cells[0].words))):
        words[i] = box[0].cells[cell].words[i].load(order="relaxed")
    box[0].head.store(at + 1, order="relaxed")
    box[0].cells[cell].turn.store(full + 1, order="release")
    if (at + 1) % ((capacity + 1) // 2) == 0 and box[0].waiting.load(order="relaxed") != 0:
        make_room(box, 1)
    return TAKEN


@kernel
def take(box: View[M, 1], words: MutView[u64, 1]) -> i32:
    """Take the oldest message, and wait while there is none: TAKEN or CLOSED."""
    for turn in range(LOOKS):
        done = try_take(box, words)
        if done != EMPTY:
            return done
        hesitate(turn)
    while True:
        box[0].asleep.store(1)
        done = try_take(box, words, order="seq_cst")
        if done != EMPTY:
            box[0].asleep.store(0, order="relaxed")
            return done
        if box[0].waiting.load() != 0:
            make_room(box, 1)
        box[0].asleep.wait(1, unproved="who sends or closes, wakes")


@kernel
def close(box: View[M, 1]):
    """Take no more messages; those that were taken are still received."""
    at = box[0].tail.load(order="relaxed")
    while at < CLOSED_BIT:
        seen = box[0].tail.compare_exchange(at, at + CLOSED_BIT)
        at = CLOSED_BIT if seen == at else seen
    box[0].asleep.store(0)
    box[0].asleep.wake(1)
    make_room(box, EVERYBODY)


@kernel
def reply(box: View[M, 1], slot: u64, answer: u64):
    """Give an answer to who waits in a slot; a message that nobody asked with has none."""
    if slot < REPLIES:
        box[0].replies[index(slot)].word.store(answer, order="relaxed")
        box[0].replies[index(slot)].state.store(ANSWERED)
        box[0].replies[index(slot)].state.wake(1)


@kernel
def await_reply(box: View[M, 1], slot: index) -> u32:
    """Wait until a slot is no longer ASKED, and free it: ANSWERED or UNANSWERED."""
    for turn in range(LOOKS):
        if box[0].replies[slot].state.load(order="acquire") != ASKED:
            break
        hesitate(turn)
    while box[0].replies[slot].state.load(order="acquire") == ASKED:
        box[0].replies[slot].state.wait(ASKED, unproved="the receiver answers, or ends and says so")
    return box[0].replies[slot].state.exchange(0)


@kernel
def ended(box: View[M, 1]):
    """Close for good: nobody receives any more, and who waits for an answer gets none."""
    close(box)
    for slot in range(REPLIES):
        if box[0].replies[slot].state.compare_exchange(ASKED, UNANSWERED) == ASKED:
            box[0].replies[slot].state.wake(1)


@kernel
def await_set(word: View[Atomic[u32, dense], 1]) -> u32:
    """Wait until a word is not 0, and return it."""
    while word[0].load(order="acquire") == 0:
        word[0].wait(0, unproved="the thread that was started sets it first of all")
    return word[0].load(order="relaxed")
