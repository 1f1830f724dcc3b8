"""Timers for many short calls: coarse, cheap to set, cheaper to drop.

Workload: every call may carry a deadline and almost every one is answered long before it. So setting and dropping are
one set operation each, and the loop holds one timer for all.
"""

import time
from heapq import heappop, heappush
from typing import Protocol

from hekla.serve.http2.loop import Loop, Timer

TICK_S = 0.005


class Expiring(Protocol):
    """What can be told that its time is over. Hashable by identity."""

    def on_timeout(self) -> None: ...


class Timeouts:
    """Calls `on_timeout` of what is still in its bucket when the bucket's time comes, up to two ticks late."""

    __slots__ = ("_armed", "_buckets", "_keys", "_loop", "_timer")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._buckets: dict[int, set[Expiring]] = {}
        self._keys: list[int] = []  # a heap of the buckets' keys
        self._timer: Timer | None = None
        self._armed = 0

    def add(self, item: Expiring, after_s: float) -> set[Expiring]:
        """Return the bucket the item waits in; the caller drops a timer by `bucket.discard(item)`."""
        key = int((time.monotonic() + after_s) / TICK_S) + 1
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = set()
            heappush(self._keys, key)
            if self._timer is None or key < self._armed:
                self._arm(key)
        bucket.add(item)
        return bucket

    def close(self) -> None:
        """Drop everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buckets.clear()
        self._keys.clear()

    def _arm(self, key: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = key
        self._timer = self._loop.call_later(max(0.0, key * TICK_S - time.monotonic()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = int(time.monotonic() / TICK_S)
        due: list[Expiring] = []
        while self._keys and (self._keys[0] <= now or not self._buckets[self._keys[0]]):
            due.extend(self._buckets.pop(heappop(self._keys)))
        if self._keys:
            self._arm(self._keys[0])
        for item in due:
            item.on_timeout()
