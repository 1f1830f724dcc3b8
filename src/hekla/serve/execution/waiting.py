"""The queue of a batcher: by priority, then by what can share a batch, then by age."""

from collections import deque
from collections.abc import Iterator

from hekla.serve.execution.work import Work

_GONE_KEPT = 64  # finished works that may lie in the lines before they are swept out


class WaitingRoom:
    """Works that wait for an engine. Taking a batch costs O(batch); finished works are skipped as they surface.

    Workload: nearly always one priority and one key, so both levels are tiny dictionaries, and the last line of the
    last level is kept when it runs empty. A work takes as many places as it has rows, one at least.
    """

    def __init__(self) -> None:
        self._levels: dict[int, dict[object, deque[Work]]] = {}
        self._gone = 0  # finished works that still lie in a line
        self.count = 0  # requests waiting
        self.places = 0  # and the places they take in batches

    def add(self, work: Work) -> None:
        """Queue a work behind its equals."""
        level = self._levels.get(work.priority)
        if level is None:
            self._levels[work.priority] = {work.key: deque((work,))}
            self._levels = dict(sorted(self._levels.items()))
        elif (line := level.get(work.key)) is not None:
            line.append(work)
        else:
            level[work.key] = deque((work,))
        self.count += 1
        self.places += work.rows or 1

    def left(self, work: Work) -> None:
        """Note that a waiting work was finished by somebody else (cancelled, expired): it no longer counts."""
        self.count -= 1
        self.places -= work.rows or 1
        self._gone += 1
        # While every engine is busy nothing surfaces, and callers that come and go must not fill the memory.
        if self._gone > _GONE_KEPT and self._gone > self.count:
            self._sweep()

    def oldest(self) -> Work | None:
        """Return the work the next batch starts with: of the best priority, the one that waited longest."""
        levels = self._levels
        while levels:
            priority, level = next(iter(levels.items()))
            oldest = self._oldest_of(level)
            if oldest is not None:
                return oldest
            if len(levels) == 1:
                return None
            del levels[priority]
        return None

    def groups(self) -> list[object]:
        """Return the keys of the works that wait, of the best priority first."""
        return list(dict.fromkeys(key for level in self._levels.values() for key in level))

    def places_like(self, key: object) -> int:
        """Return how many places the waiting works take that could share a batch with works of this key."""
        if len(self._levels) == 1:
            (level,) = self._levels.values()
            if len(level) == 1 and key in level:
                return self.places
        return sum(work.rows or 1 for work in self._like(key))

    def take(self, key: object, places: int) -> list[Work]:
        """Remove and return works of a key, best priority and oldest first: as many as fit, but at least one."""
        taken: list[Work] = []
        room = places
        for level in self._levels.values():
            line = level.get(key)
            while line:
                work = line[0]
                if work.finished:
                    line.popleft()
                    self._gone -= 1
                    continue
                size = work.rows or 1
                if taken and size > room:
                    return taken
                line.popleft()
                self.count -= 1
                self.places -= size
                room -= size
                taken.append(work)
                if room <= 0:
                    return taken
        return taken

    def drain(self) -> list[Work]:
        """Remove and return everything that waits."""
        works = [work for level in self._levels.values() for line in level.values() for work in line]
        self._levels.clear()
        self.count = self.places = self._gone = 0
        return [work for work in works if not work.finished]

    def _oldest_of(self, level: dict[object, deque[Work]]) -> Work | None:
        oldest: Work | None = None
        empty: list[object] = []
        for key, line in level.items():
            while line and line[0].finished:
                line.popleft()
                self._gone -= 1
            if not line:
                empty.append(key)
            elif oldest is None or line[0].arrived_s < oldest.arrived_s:
                oldest = line[0]
        for key in empty:
            if len(level) > 1:
                del level[key]
        return oldest

    def _sweep(self) -> None:
        for level in self._levels.values():
            for key, line in level.items():
                level[key] = deque(work for work in line if not work.finished)
        self._gone = 0

    def _like(self, key: object) -> Iterator[Work]:
        for level in self._levels.values():
            yield from (work for work in level.get(key, ()) if not work.finished)
