"""The queue of a batcher: by priority, then by what can share a batch, then by age."""

from collections import deque
from collections.abc import Iterator

from hekla.serve.execution.work import Work


class WaitingRoom:
    """Works that wait for an engine. Taking a batch costs O(batch); finished works are skipped as they surface.

    Workload: nearly always one priority and one key, so both levels are tiny dictionaries.
    """

    def __init__(self) -> None:
        self._levels: dict[int, dict[object, deque[Work]]] = {}
        self.count = 0  # requests waiting
        self.rows = 0  # and their rows

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
        self.rows += work.rows

    def left(self, work: Work) -> None:
        """Note that a waiting work was finished by somebody else (cancelled, expired): it no longer counts."""
        self.count -= 1
        self.rows -= work.rows

    def oldest(self) -> Work | None:
        """Return the work the next batch starts with: of the best priority, the one that waited longest."""
        for level in self._levels.values():
            heads = []
            for key in list(level):
                line = level[key]
                while line and line[0].finished:
                    line.popleft()
                if line:
                    heads.append(line[0])
                else:
                    del level[key]
            if heads:
                return heads[0] if len(heads) == 1 else min(heads, key=lambda work: work.arrived_s)
        return None

    def rows_like(self, key: object) -> int:
        """Return how many rows wait that could share a batch with works of this key."""
        if len(self._levels) == 1:
            (level,) = self._levels.values()
            if len(level) == 1 and key in level:
                return self.rows
        return sum(work.rows for work in self._like(key))

    def take(self, key: object, rows: int) -> list[Work]:
        """Remove and return works of a key, best priority and oldest first, up to `rows` rows but at least one work."""
        taken: list[Work] = []
        room = rows
        for level in self._levels.values():
            line = level.get(key)
            while line:
                work = line[0]
                if work.finished:
                    line.popleft()
                    continue
                if taken and work.rows > room:
                    return taken
                line.popleft()
                self.count -= 1
                self.rows -= work.rows
                room -= work.rows
                taken.append(work)
                if room <= 0:
                    return taken
        return taken

    def drain(self) -> list[Work]:
        """Remove and return everything that waits."""
        works = [work for level in self._levels.values() for line in level.values() for work in line]
        self._levels.clear()
        self.count = self.rows = 0
        return [work for work in works if not work.finished]

    def _like(self, key: object) -> Iterator[Work]:
        for level in self._levels.values():
            yield from (work for work in level.get(key, ()) if not work.finished)
