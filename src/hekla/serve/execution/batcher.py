"""Dynamic batching: which requests share the next engine call, and when it starts.

A batch leaves when it is full, OR its oldest request has waited `max_delay_us`, OR no engine is busy (an idle engine
never waits). With one engine the delay therefore never costs anything: while the engine runs, the next batch gathers.
With several, it says how long the second engine waits for company before it starts on a batch that is not full.

Requests read from all sockets in one turn of the event loop are queued first and batched afterwards: that is where a
tiny model gets its batches from, without a timer. The reasons are in docs/adr/0009-batching-on-the-event-loop.md.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from hekla.base.errors import (
    CancelledError,
    DeadlineError,
    EngineError,
    HeklaError,
    OverloadedError,
    UnavailableError,
)
from hekla.protocols.engine import Cancellation
from hekla.protocols.tensor import Tensors
from hekla.serve.config import ModelConfig
from hekla.serve.execution.instance import Instance, Ran
from hekla.serve.execution.latency import LatencyModel
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.waiting import WaitingRoom
from hekla.serve.execution.work import Work
from hekla.serve.observe.statistics import ModelStatistics

# An engine call expected to be shorter than this runs on the event loop: handing it to a thread costs 50 to 100 us.
_INLINE_S = 400e-6
# Calls on a thread before that expectation is trusted: the first ones also pay for page faults and warm-up.
_CALLS_BEFORE_INLINE = 4
# So long may calls hold the event loop before it looks at its sockets again.
_TURN_S = 2e-3


class Batcher:
    """Queue, batch policy and engines of one model version. Lives on the event loop; `submit` never waits."""

    def __init__(
        self,
        config: ModelConfig,
        layout: BatchLayout,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        replace: Callable[[Instance], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._batching, self._queue = config.batching, config.queue
        self._max_delay_s = config.batching.max_delay_us / 1e6
        self._layout, self._statistics = layout, statistics
        self._instances = list(instances)
        self._replace = replace  # called when an instance died or hung: a new one comes through `instance_ready`
        self._waiting = WaitingRoom()
        self._latency = LatencyModel()
        self._for_room: deque[Callable[[], None]] = deque()
        self._calls = 0
        self._running = 0
        self._flush_soon: asyncio.Handle | None = None
        self._flush_later: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, work: Work, *, admitted: bool = False) -> None:
        """Queue a work; it is finished later, never from inside this call.

        Errors: OverloadedError if the queue is full or would take too long to drain. `admitted` work (a part of a
        request that was let in already) is never refused.
        """
        waiting = self._waiting
        if not admitted:
            self._admit(waiting)
        waiting.add(work)
        self._statistics.waiting = waiting.count
        if work.deadline_s is not None and work.timer is None:
            work.timer = self._loop.call_at(work.deadline_s, self._expire, work)
        if self._flush_soon is None:
            self._idle.clear()
            self._flush_soon = self._loop.call_soon(self._flush)

    def cancel(self, work: Work) -> None:
        """Finish a work whose caller went away. A call that nobody waits for any more is stopped."""
        if not work.finished:
            self._left(work)
            work.finish(CancelledError("the caller went away"))

    def when_room(self, proceed: Callable[[], None]) -> None:
        """Call `proceed` as soon as the queue is not full: at once, or after others that wait for room."""
        if self._waiting.count < self._queue.capacity and not self._for_room:
            proceed()
        else:
            self._for_room.append(proceed)

    def is_open(self, requests: int) -> bool:
        """True if a batch could be run at once, and `requests` of them are not more than the queue takes."""
        if self._waiting.count or self._flush_soon is not None or requests >= self._queue.capacity:
            return False
        return any(not instance.busy for instance in self._instances)

    def run_at_once(self, inputs: Tensors, rows: int) -> Ran | None:
        """Run joined rows on the event loop, ahead of the queue; None if that is not possible or not wise now."""
        instance = next((i for i in self._instances if not i.busy), None)
        if instance is None or self._waiting.count or not self._fits_the_loop(instance, rows):
            return None
        if self._batching.adaptive and rows > 1 and self._latency.best_rows(rows) < rows:
            return None
        ran = instance.run_here(inputs, ())
        if not isinstance(ran.result, HeklaError):
            seconds = ran.ended_s - ran.started_s
            self._statistics.executed(rows, seconds)
            self._latency.observe(rows, seconds)
        return ran

    def is_too_slow(self, rows: int) -> bool:
        """True if a batch of so many rows is known not to fit the event loop, however idle the engines are."""
        if self._queue.run_timeout_ms or any(instance.engine.may_block for instance in self._instances):
            return True
        expected_s = self._latency.call_s(rows)
        return expected_s is not None and expected_s >= _INLINE_S

    async def drain(self) -> None:
        """Wait until everything queued is answered and no engine runs."""
        await self._idle.wait()

    def fail_waiting(self, error: HeklaError) -> None:
        """Answer everything queued with an error."""
        for work in self._waiting.drain():
            work.finish(error)
        self._flush()

    def instance_ready(self, instance: Instance) -> None:
        """Take an engine into service."""
        self._instances.append(instance)
        self._flush()

    def instances(self) -> Sequence[Instance]:
        """The engines in service."""
        return tuple(self._instances)

    def _admit(self, waiting: WaitingRoom) -> None:
        if waiting.count >= self._queue.capacity:
            raise OverloadedError(
                f"the queue is full: {waiting.count} requests wait",
                retry_after_s=self._drain_s(),
                cure="retry after the time stated",
            )
        if self._queue.max_wait_ms and waiting.count:
            wait_s = self._drain_s()
            if wait_s * 1e3 > self._queue.max_wait_ms:
                raise OverloadedError(
                    f"a request would wait {wait_s:.1f} s, more than the {self._queue.max_wait_ms} ms allowed",
                    retry_after_s=wait_s - self._queue.max_wait_ms / 1e3,
                    cure="retry after the time stated",
                )

    def _drain_s(self) -> float:
        return self._latency.drain_s(self._waiting.places) / max(len(self._instances), 1)

    # Forming batches

    def _flush(self) -> None:
        self._flush_soon = None
        if self._flush_later is not None:
            self._flush_later.cancel()
            self._flush_later = None
        held_s = 0.0  # by calls on this very thread
        while True:
            instance = next((i for i in self._instances if not i.busy), None)
            head = self._waiting.oldest() if instance is not None else None
            if instance is None or head is None:
                break
            if held_s > _TURN_S:
                self._flush_as_soon_as_possible()
                break
            key: object = head.key
            rows = self._rows_to_take(head)
            if rows == 0:
                key, rows = self._full_batch()
                if rows == 0:
                    break
            held_s += self._execute(instance, self._waiting.take(key, rows))
        while self._for_room and self._waiting.count < self._queue.capacity:
            self._for_room.popleft()()
        self._statistics.waiting = self._waiting.count
        self._note_idle()

    def _flush_as_soon_as_possible(self) -> None:
        if self._flush_soon is None:
            self._idle.clear()
            self._flush_soon = self._loop.call_soon(self._flush)

    def _rows_to_take(self, head: Work) -> int:
        """Return the rows of the next batch; 0 if it should wait, and the timer is set then."""
        if not self._layout.enabled:
            return 1
        available = min(self._waiting.places_like(head.key), self._layout.max_rows)
        wanted = max((size for size in self._batching.preferred if size <= available), default=0)
        if self._max_delay_s and self._running and not wanted and available < self._layout.max_rows:
            wait_s = head.arrived_s + self._max_delay_s - self._clock()
            if wait_s > 0 and (not self._batching.adaptive or self._latency.pays_to_wait(available)):
                if self._flush_later is None:
                    self._flush_later = self._loop.call_later(wait_s, self._flush)
                return 0
        rows = wanted or available
        return self._latency.best_rows(rows) if self._batching.adaptive and rows > 1 else rows

    def _full_batch(self) -> tuple[object, int]:
        """Return what can leave while the oldest request waits for company: (key, rows), 0 rows if nothing can."""
        enough = min((self._layout.max_rows, *self._batching.preferred))
        for key in self._waiting.groups():
            available = min(self._waiting.places_like(key), self._layout.max_rows)
            if available >= enough:
                rows = max((size for size in self._batching.preferred if size <= available), default=available)
                return key, self._latency.best_rows(rows) if self._batching.adaptive else rows
        return None, 0

    # Running them

    def _execute(self, instance: Instance, works: list[Work]) -> float:
        """Run a batch; return the seconds it held the event loop."""
        now = self._clock()
        rows, is_late = 0, False
        for work in works:
            rows += work.rows
            if work.deadline_s is not None and work.deadline_s <= now:
                is_late = True
        if is_late:  # the loop was held and their timers could not tell
            works = self._refuse_late(works, now)
            rows = sum(work.rows for work in works)
        if not works:
            return 0.0
        wanted = works[0].outputs
        if len(works) > 1 and any(work.outputs != wanted for work in works):
            wanted = ()
        try:
            inputs = self._layout.join(works, self._statistics.bytes_copied)
        except Exception as error:  # noqa: BLE001 - no room for the batch, say: its requests are answered all the same
            self._answer_failure(instance, works, EngineError(f"{type(error).__name__}: {error}", where="batch"))
            return 0.0
        joined_s = self._clock()
        self._statistics.join.add(joined_s - now, len(works))
        self._calls += 1
        if self._fits_the_loop(instance, rows):
            ran = instance.run_here(inputs, wanted)
            self._answer(instance, works, rows, ran)
            return ran.ended_s - ran.started_s
        _Call(self, instance, works, rows, inputs, wanted).start(self._loop, joined_s, self._queue.run_timeout_ms / 1e3)
        return 0.0

    def _refuse_late(self, works: list[Work], now: float) -> list[Work]:
        in_time = []
        for work in works:
            if work.deadline_s is not None and work.deadline_s <= now:
                work.finish(_too_late(work))
            else:
                in_time.append(work)
        return in_time

    def _fits_the_loop(self, instance: Instance, rows: int) -> bool:
        if instance.engine.may_block or self._calls <= _CALLS_BEFORE_INLINE or self._queue.run_timeout_ms:
            return False
        if not self._layout.one_shape:  # a call's rows do not tell how long it takes
            return False
        expected_s = self._latency.call_s(rows)
        return expected_s is not None and expected_s < _INLINE_S

    def _answer(self, instance: Instance, works: list[Work], rows: int, ran: Ran) -> None:
        """Finish works after a call: with their part, with the error, or by trying each alone."""
        seconds = ran.ended_s - ran.started_s
        self._statistics.executed(rows, seconds)
        for work in works:
            if not work.started_s:
                work.started_s = ran.started_s
            work.ended_s = ran.ended_s
        if isinstance(ran.result, HeklaError):
            self._answer_failure(instance, works, ran.result)
            return
        if rows:
            self._latency.observe(rows, seconds)
        try:
            parts: Sequence[Tensors] = self._layout.split(ran.result, works)
        except HeklaError as error:
            self._answer_failure(instance, works, error)
            return
        self._statistics.split.add(self._clock() - ran.ended_s, len(works))
        for work, part in zip(works, parts, strict=True):
            work.finish(part)

    def _answer_failure(self, instance: Instance, works: list[Work], error: HeklaError) -> None:
        live = [work for work in works if not work.finished]
        if isinstance(error, UnavailableError):  # the engine is dead
            self._lose(instance)
            for work in live:
                if instance.was_stopped:  # it died of the call before this one: nobody here is to blame
                    self._run_alone(work)
                else:
                    self._run_once_more(work, error)
        elif len(works) == 1:
            for work in live:
                work.finish(error)
        else:
            # One of them spoiled the batch, maybe one that is finished: run each alone, so that good ones are answered.
            for work in live:
                self._run_alone(work)

    def _run_once_more(self, work: Work, error: HeklaError) -> None:
        if work.retried:
            work.finish(error)
        else:
            work.retried = True
            self._run_alone(work)

    def _run_alone(self, work: Work) -> None:
        work.key = (work.key, id(work))
        work.started_s = work.ended_s = 0.0
        self.submit(work, admitted=True)

    def _lose(self, instance: Instance) -> None:
        if instance in self._instances:
            self._instances.remove(instance)
            self._statistics.restarts += 1
            self._replace(instance)

    def _expire(self, work: Work) -> None:
        if not work.finished:
            self._left(work)
            work.finish(_too_late(work))

    def _left(self, work: Work) -> None:
        """Note that a work is about to be finished by somebody else than an engine."""
        if work.started_s == 0:
            self._waiting.left(work)
            self._statistics.waiting = self._waiting.count
            if self._for_room:
                self._flush_as_soon_as_possible()
            self._note_idle()

    def _note_idle(self) -> None:
        if self._running == 0 and self._waiting.count == 0 and self._flush_soon is None:
            self._idle.set()

    def began(self) -> None:
        """Note that a call runs on a thread."""
        self._running += 1

    def ended(self, instance: Instance, works: list[Work], rows: int, ran: Ran) -> None:
        """Note that a call on a thread ended, answer it and start the next."""
        self._running -= 1
        instance.busy = False
        self._answer(instance, works, rows, ran)
        instance.was_stopped = isinstance(ran.result, CancelledError)
        self._flush()

    def hung(self, instance: Instance, works: list[Work]) -> None:
        """Give up on a call that ran longer than the model's limit: whoever was not alone in it is run once more."""
        self._running -= 1
        instance.lost = True
        self._lose(instance)
        error = DeadlineError(
            f"the engine did not answer within {self._queue.run_timeout_ms} ms and was replaced",
            where="[queue].run_timeout_ms",
        )
        for work in works:
            if len(works) == 1:
                work.finish(error)
            elif not work.finished:
                self._run_once_more(work, error)
        self._flush()


def _too_late(work: Work) -> DeadlineError:
    limit_ms = ((work.deadline_s or work.arrived_s) - work.arrived_s) * 1e3
    return DeadlineError(
        f"no answer within {limit_ms:.0f} ms; the request was {'being computed' if work.started_s else 'waiting'}",
        cure="allow more time, or send less at once",
    )


class _Call:
    """One engine call on a thread, with the ways it may end early."""

    def __init__(
        self,
        batcher: Batcher,
        instance: Instance,
        works: list[Work],
        rows: int,
        inputs: Tensors,
        outputs: tuple[str, ...],
    ) -> None:
        self._batcher, self._instance, self._works, self._rows = batcher, instance, works, rows
        self._inputs, self._outputs = inputs, outputs
        self._cancellation = Cancellation()
        self._watchdog: asyncio.TimerHandle | None = None
        self._ended = False

    def start(self, loop: asyncio.AbstractEventLoop, now: float, limit_s: float) -> None:
        """Start it; with a limit over 0 it counts as hung after so many seconds."""
        self._batcher.began()
        for work in self._works:
            work.started_s = now
            work.on_closed = self._closed
        if limit_s:
            self._watchdog = loop.call_later(limit_s, self._hung)
        self._instance.start(self._inputs, self._outputs, self._cancellation, self._end)

    def _closed(self) -> None:
        """A work was finished while it ran: if nobody waits any more, stop the engine."""
        if not self._ended and all(work.finished for work in self._works):
            self._cancellation.set()

    def _end(self, ran: Ran) -> None:
        if self._ended:
            return
        self._stop_watching()
        self._batcher.ended(self._instance, self._works, self._rows, ran)

    def _hung(self) -> None:
        self._stop_watching()
        self._batcher.hung(self._instance, self._works)
        self._cancellation.set()

    def _stop_watching(self) -> None:
        self._ended = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        for work in self._works:
            work.on_closed = None
