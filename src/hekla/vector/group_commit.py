"""Group commit: writes that are under way at the same time are one record of the log, one sync and one version.

Of those who wait for a write one leads: it takes what is queued, writes it and tells the others, then whoever waits
next leads. What nobody waits for (`submit`) a thread leads, begun with the first. Writes count in the order they came,
also of one caller who waited for none. A group that is refused is written again one by one, so that each is told its
own error and none suffers for another's.

Writers that wait for each write come back as soon as they are told. Were the next group written at once, it would be
without them, and every sync would serve half of the writers: so it waits for as many as wrote last, for a fraction of
the time a group takes, and for a while not at all once it waited in vain.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from hekla.base.errors import ConflictError
from hekla.vector.batch import last_of_each, rows_from_points
from hekla.vector.errors import DiskError, PointError
from hekla.vector.point import Point
from hekla.vector.rows import DTYPES, Rows, concatenated, row_shape
from hekla.vector.schema import CollectionSchema
from hekla.vector.store import Changes, Store
from hekla.vector.version import Version

Decide = Callable[[Version], Changes]
Work = Sequence[Point] | Rows | Decide  # points or rows to upsert; or what to do is found from the latest version
_PATIENCE, _MOST_PATIENCE_S = 0.5, 1e-3  # of the time the last group took, that the next waits for its writers
_MOST_HASTE = 64  # groups that wait for nobody, at most, after one that waited in vain
_GROUP_POINTS = 4096  # at most: the first of a group waits for the others to be converted
_QUEUED_POINTS, _QUEUED_BYTES = 8192, 64 << 20  # before `submit` waits; bytes of vectors


class _Write:
    """One caller's write on its way."""

    __slots__ = ("error", "future", "is_done", "points", "sequence", "turn", "work")

    def __init__(self, work: Work, future: "Future[int] | None") -> None:
        self.work, self.future = work, future
        self.points = 1 if callable(work) else len(work)
        self.sequence = 0
        self.error: BaseException | None = None
        self.is_done = False
        self.turn = threading.Lock()  # free once the write is done or its caller has to lead
        if future is None:
            self.turn.acquire()

    def finish(self) -> None:
        """Tell who waits for it. Once."""
        self.is_done = True
        if self.future is None:
            self.turn.release()
        elif self.error is None:
            self.future.set_result(self.sequence)
        else:
            self.future.set_exception(self.error)


class GroupCommit:
    """The way of all writes into one store. Any thread. Close it before the store."""

    def __init__(self, store: Store, written: Callable[[], None]) -> None:
        """written: called after each group, by who led it."""
        self._store, self._written = store, written
        self._queue: deque[_Write] = deque()  # empty where nobody leads
        self._queued_points = 0
        self._lock = threading.Lock()
        self._has_room = threading.Condition(self._lock)
        self._is_led = self._is_closed = False
        self._most_queued = min(_QUEUED_POINTS, max(64, _QUEUED_BYTES // _vector_bytes(store.schema)))
        self._thread: threading.Thread | None = None
        self._calls = threading.Semaphore(0)  # of the thread, to lead
        self._expected = 0  # writers that wait for their writes, as far as is known
        self._wanted = 0  # of them in the queue, before a leader who waits goes on; 0: none waits
        self._all_here = threading.Lock()  # held; free for a moment when they are
        self._all_here.acquire()
        self._haste, self._hurry = 0, 0  # groups that still wait for nobody; how many after the next that is in vain
        self._took_s = 0.0  # the last group

    def write(self, work: Work) -> int:
        """Do one write, and return the last sequence once it is as safe as the schema's `sync` says.

        Errors: as `Store.change`; PointError.
        """
        mine: _Write | None = None
        with self._lock:
            is_led = self._is_led
            if is_led or self._expected > 1:
                mine = _Write(work, None)
                self._queue.append(mine)
                self._queued_points += mine.points
                if self._wanted and len(self._queue) >= self._wanted:
                    self._wanted = 0
                    self._all_here.release()
            self._is_led = True
        if mine is not None:
            if not is_led:
                mine.turn.release()
            return self._written_by_others(mine)
        try:
            return self._done(work)
        finally:
            self._expected = 1 + len(self._queue)
            self._give_lead_on()
            self._written()

    def _written_by_others(self, mine: _Write) -> int:
        """Wait until a leader has written this, or has made this caller lead."""
        is_leader = False
        try:
            mine.turn.acquire()
            is_leader = not mine.is_done
            if is_leader:
                self._gather()
        except BaseException:  # an interrupt: the write stays, and nobody waits for it
            with self._lock:
                mine.future = Future()
                is_leader = is_leader or (not mine.turn.locked() and not mine.is_done)
                if is_leader:
                    self._wanted = 0
                    self._all_here.acquire(blocking=False)
            if is_leader:
                self._call_thread()
            raise
        while not mine.is_done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.sequence

    def submit(self, points: Sequence[Point]) -> "Future[int]":
        """Begin a write of points, which must stay as they are, and return what knows when it is done, as `write` says.

        Waits where too many are under way. Errors: ConflictError if it is closed.
        """
        future: Future[int] = Future()
        mine = _Write(points, future)
        with self._lock:
            while self._queued_points > self._most_queued:
                self._has_room.wait()
            if self._is_closed:
                raise ConflictError("is closed", where=str(self._store.folder), cure="open it again")
            self._queue.append(mine)
            self._queued_points += mine.points
            is_led, self._is_led = self._is_led, True
        if not is_led:
            self._call_thread()
        return future

    def settle(self) -> None:
        """Return once all that was begun is done, well or not."""
        self.write(())

    def close(self) -> None:
        """Finish what is under way and end the thread. A second call does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self.settle()
        if self._thread is not None:
            self._calls.release()
            self._thread.join()

    def _call_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vector-commit", daemon=True)
                self._thread.start()
        self._calls.release()

    def _run(self) -> None:
        while True:
            self._calls.acquire()
            if self._is_closed and not self._is_led:
                return
            self._lead(None)

    def _lead(self, mine: _Write | None) -> None:
        """Write a group; give the lead on if `mine` was in it."""
        began = time.perf_counter()
        group = self._taken()
        self._commit(group)
        self._took_s = time.perf_counter() - began
        waiting = [each for each in group if each.future is None]
        self._expected = len(waiting) + len(self._queue)
        for each in waiting:
            each.finish()
        if mine is None or mine in group:
            self._give_lead_on()
        for each in group:  # now that another leads: what is called back may write
            if each.future is not None:
                each.finish()
        self._written()

    def _gather(self) -> None:
        """Wait a moment for the writers that wrote last, if that was worth it before."""
        if len(self._queue) >= self._expected:
            return
        if self._haste:
            self._haste -= 1
            return
        with self._lock:
            if len(self._queue) >= self._expected:
                return
            self._wanted = self._expected
        if self._all_here.acquire(timeout=min(_PATIENCE * self._took_s, _MOST_PATIENCE_S)):
            self._hurry = 0
            return
        with self._lock:
            is_vain, self._wanted = bool(self._wanted), 0
        if is_vain:
            self._hurry = self._haste = min(max(1, 2 * self._hurry), _MOST_HASTE)
        else:  # the last came between
            self._all_here.acquire()

    def _give_lead_on(self) -> None:
        with self._lock:
            self._is_led = bool(self._queue)
            heir = next((each for each in self._queue if each.future is None), None)
            if heir is not None:
                heir.turn.release()
        if heir is None and self._is_led:
            self._call_thread()

    def _taken(self) -> list[_Write]:
        """Return what is to be written together, of what was queued first; alone what depends on the version."""
        group: list[_Write] = []
        points = 0
        most = min(_GROUP_POINTS, self._most_queued)
        with self._lock:
            queue = self._queue
            while queue and (not group or points + queue[0].points <= most):
                if callable(queue[0].work) and group:
                    break
                write = queue.popleft()
                points += write.points
                group.append(write)
                if callable(write.work):
                    break
            self._queued_points -= points
            self._has_room.notify_all()
        return [each for each in group if each.future is None or each.future.set_running_or_notify_cancel()]

    def _commit(self, group: Sequence[_Write]) -> None:
        """Write a group and note what came of it."""
        try:
            sequence = self._together([each.work for each in group])
        except BaseException as error:  # noqa: BLE001  # who waits is told, in its own thread
            for each in group:
                if len(group) > 1 and isinstance(error, DiskError | PointError):
                    self._commit([each])
                else:
                    each.error = error
        else:
            for each in group:
                each.sequence = sequence

    def _together(self, works: Sequence[Work]) -> int:
        if len(works) == 1:
            return self._done(works[0])
        pieces: list[Rows | list[Point]] = []
        for work in works:
            assert not callable(work), "taken alone"
            if isinstance(work, Rows):
                pieces.append(work)
            elif pieces and isinstance(pieces[-1], list):
                pieces[-1] += work
            else:
                pieces.append(list(work))
        rows = [rows_from_points(self._store.schema, each) if isinstance(each, list) else each for each in pieces]
        return self._done(rows[0] if len(rows) == 1 else last_of_each(concatenated(rows)) if rows else ())

    def _done(self, work: Work) -> int:
        if callable(work):
            return self._store.change(work)
        rows = work if isinstance(work, Rows) else rows_from_points(self._store.schema, work)
        return self._store.upsert(rows) if len(rows) else self._store.version.sequence


def _vector_bytes(schema: CollectionSchema) -> int:
    return 1 + sum(row_shape(vector) * DTYPES[vector.dtype].itemsize for vector in schema.vectors.values())
