"""Upkeep: seals the tail when it is large, and merges segments when there are many of a size or much is deleted.

Segments are in tiers: tier t has those of 8^t to 8^(t + 1) times `seal_points` live rows. Eight of one tier become one
of the next, so a point is written about log8(n) times. A segment with a quarter of its rows deleted is written anew,
but a new segment gets its graph before: every search reads all of its rows till then. One with half of its rows
deleted goes first of all.
"""

import threading

from hekla.vector.dense import has_graph
from hekla.vector.schema import CollectionSchema
from hekla.vector.segment import Segment
from hekla.vector.store import Store
from hekla.vector.version import Part

FAN_IN = 8
MAX_DELETED_SHARE = 0.25
URGENT_DELETED_SHARE = 0.5
_RETRY_S = 5.0  # after the disk refused


def is_seal_due(store: Store) -> bool:
    """Return whether the tail is large enough to be a segment."""
    return store.tail_rows >= store.schema.seal_points


def due_merge(store: Store) -> list[int]:
    """Return the numbers of the segments to merge next, [] for none."""
    segments = [
        part
        for part in store.version.parts
        if isinstance(part.source, Segment) and not store.is_damaged(part.source.number)
    ]
    for part in segments:
        if _deleted_share(part) > URGENT_DELETED_SHARE:
            return [_number(part)]
    tiers: dict[int, list[int]] = {}
    for part in segments:
        members = tiers.setdefault(_tier(part.live, store.schema.seal_points), [])
        members.append(_number(part))
        if len(members) == FAN_IN:
            return members
    due = [part for part in segments if _lacks_graph(part, store.schema)]
    due += [part for part in segments if _deleted_share(part) > MAX_DELETED_SHARE]
    return [_number(part) for part in due[:1]]


def merge_once(store: Store) -> bool:
    """Do the merge that is due; False if none is. Errors: DiskError."""
    numbers = due_merge(store)
    if numbers:
        store.merge(numbers)
    return bool(numbers)


def _lacks_graph(part: Part, schema: CollectionSchema) -> bool:
    assert isinstance(part.source, Segment)
    is_due = any(has_graph(vector, len(part.rows)) for vector in schema.vectors.values())
    return is_due and not part.source.about["is_optimised"]


def _deleted_share(part: Part) -> float:
    return 1 - part.live / max(1, len(part.rows))


def _number(part: Part) -> int:
    assert isinstance(part.source, Segment)
    return part.source.number


def _tier(live: int, seal_points: int) -> int:
    tier = 0
    while live >= seal_points * FAN_IN ** (tier + 1):
        tier += 1
    return tier


class Upkeep:
    """A thread that keeps one store in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted = threading.Event()
        self._waking = threading.Lock()
        self._is_settled = threading.Event()
        self._is_settled.set()
        self._is_stopped = threading.Event()
        self.error: Exception | None = None  # why the last round failed; None: it did not
        self._thread = threading.Thread(target=self._run, name="vector-upkeep", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look soon whether there is something to do."""
        if is_seal_due(self._store):
            with self._waking:
                self._is_settled.clear()
                self._wanted.set()

    def wait_settled(self, timeout_s: float | None = None) -> bool:
        """Return once nothing is due, or the last round failed (`error`); False if that took too long."""
        return self._is_settled.wait(timeout_s)

    def stop(self) -> None:
        """Finish the round and end."""
        self._is_stopped.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            if self._is_stopped.is_set():
                return
            self._wanted.clear()
            try:
                is_more = True
                while is_more and not self._is_stopped.is_set():
                    is_more = is_seal_due(self._store)
                    if is_more:
                        self._store.seal()
                    else:
                        is_more = merge_once(self._store)
                self.error = None
                with self._waking:
                    if not self._wanted.is_set():
                        self._is_settled.set()
            except Exception as error:  # noqa: BLE001  # the thread's boundary: `wait_settled` raises it
                self.error = error
                self._is_settled.set()
                if not self._is_stopped.wait(_RETRY_S):
                    self._wanted.set()
