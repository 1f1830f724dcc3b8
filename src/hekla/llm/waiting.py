"""Requests that wait: the greater priority first; among equals the tenant that was served least; then who came first.

Source: virtual token counters (Sheng et al., Fairness in Serving Large Language Models, arXiv:2401.00588): a tenant
is charged for each token computed; one that comes back from idling starts no lower than the least served active one,
so that idling saves nothing up.
"""

import bisect
from collections import Counter, OrderedDict
from collections.abc import Iterator

from hekla.llm.sequence import Sequence

_REMEMBERED_TENANTS = 1024


class WaitingQueue:
    """What waits, and how much each tenant got."""

    def __init__(self) -> None:
        self._queues: dict[tuple[int, str], list[Sequence]] = {}  # (priority, tenant) -> by arrival
        self._served: OrderedDict[str, int] = OrderedDict()  # tokens
        self._active: Counter[str] = Counter()  # waiting and running requests
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sequence]:
        return (sequence for queue in self._queues.values() for sequence in queue)

    def enter(self, tenant: str) -> None:
        """Count one more request of a tenant, which will wait or run."""
        if not self._active[tenant]:
            least = min((self._served[name] for name, count in self._active.items() if count), default=0)
            self._served[tenant] = max(self._served.get(tenant, 0), least)
        self._served.move_to_end(tenant)
        self._active[tenant] += 1
        while len(self._served) > max(_REMEMBERED_TENANTS, len(self._active)):
            oldest = next(name for name in self._served if not self._active[name])
            del self._served[oldest]

    def leave(self, tenant: str) -> None:
        """Undo one `enter`."""
        self._active[tenant] -= 1
        if not self._active[tenant]:
            del self._active[tenant]

    def charge(self, tenant: str, tokens: int) -> None:
        """Count tokens that were computed for a tenant."""
        self._served[tenant] += tokens

    def served(self, tenant: str) -> int:
        """Return the counter of an active tenant."""
        return self._served[tenant]

    def push(self, sequence: Sequence) -> None:
        """Let a request wait, by its arrival."""
        queue = self._queues.setdefault((sequence.priority, sequence.tenant), [])
        bisect.insort(queue, sequence, key=lambda other: other.arrival)
        self._length += 1

    def remove(self, sequence: Sequence) -> None:
        """Take a request out."""
        key = (sequence.priority, sequence.tenant)
        self._queues[key].remove(sequence)
        if not self._queues[key]:
            del self._queues[key]
        self._length -= 1

    def in_order(self) -> Iterator[Sequence]:
        """Yield who goes next, then next if that one may not yet, ... The queue may not change meanwhile."""
        ordered = sorted(self._queues, key=lambda key: (-key[0], self._served[key[1]], self._queues[key][0].arrival))
        for key in ordered:
            yield from self._queues[key]
