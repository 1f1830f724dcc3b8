"""A pipeline stage with its own threads and a bounded queue."""

import asyncio
import contextlib
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, MutableMapping
from typing import Any

from hekla.base.errors import CancelledError, EngineError, HeklaError, OverloadedError
from hekla.protocols.stage import Stage, Values
from hekla.serve.config import StageConfig
from hekla.serve.execution.job import Job
from hekla.serve.observe.statistics import ModelStatistics

# What a stage hands over, and the slot it keeps until the next stage has taken it.
Release = Callable[[], None]
OnStageEnd = Callable[[Values | HeklaError, Release], None]


class _Call:
    """One job in one stage."""

    __slots__ = ("job", "on_end", "state", "values")

    def __init__(self, values: Values, job: Job, state: MutableMapping[str, Any], on_end: OnStageEnd) -> None:
        self.values, self.job, self.state, self.on_end = values, job, state, on_end


class StagePool:
    """Runs one stage for many jobs: `concurrency` at a time, `queue` waiting.

    A job that is done keeps its slot until `release` is called, so that a slow next stage slows this one down
    instead of piling up values between them.
    """

    def __init__(self, name: str, stage: Stage, config: StageConfig, statistics: ModelStatistics) -> None:
        self.stage = stage
        self._name, self._config, self._statistics = name, config, statistics
        self._loop = asyncio.get_running_loop()
        self._free = config.concurrency
        self._waiting: OrderedDict[_Call, None] = OrderedDict()
        self._for_room: deque[Callable[[], None]] = deque()
        self._serving = False
        # Daemon threads: a stage that hangs must not hold up the end of the process, as a thread pool's would.
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = 0

    @property
    def running(self) -> int:
        """Jobs that hold a slot: those the stage works on, and those the next stage has no room for."""
        return self._config.concurrency - self._free

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def admit(self) -> None:
        """Return if a new request may come in. Errors: OverloadedError if the queue is full."""
        if len(self._waiting) >= self._config.queue:
            raise OverloadedError(
                f"stage {self._name!r} has {len(self._waiting)} requests waiting",
                retry_after_s=1.0,
                cure="retry after the time stated",
            )

    def when_room(self, proceed: Callable[[], None]) -> None:
        """Call `proceed` as soon as the queue is not full: at once, or after others that wait for room."""
        if len(self._waiting) < self._config.queue and not self._for_room:
            proceed()
        else:
            self._for_room.append(proceed)

    def start(
        self, values: Values, job: Job, state: MutableMapping[str, Any], on_end: OnStageEnd
    ) -> Callable[[], None]:
        """Queue the job for this stage; return how to take it out of the queue, which ends it.

        A job that was cancelled or is too late costs no run. `on_end` is called once, maybe before this returns.
        """
        call = _Call(values, job, state, on_end)
        self._waiting[call] = None
        self._serve()
        return lambda: self._leave(call)

    def close(self) -> None:
        """Stop the threads, those that hang excepted."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _leave(self, call: _Call) -> None:
        if call in self._waiting:
            del self._waiting[call]
            call.on_end(CancelledError("the caller went away"), _keep)
            self._serve()

    def _serve(self) -> None:
        """Give free slots to waiting jobs and room to those outside. A loop: jobs may end from inside it."""
        if self._serving:
            return
        self._serving = True
        try:
            while True:
                if self._free and self._waiting:
                    self._free -= 1
                    self._begin(self._waiting.popitem(last=False)[0])
                elif self._for_room and len(self._waiting) < self._config.queue:
                    self._for_room.popleft()()
                else:
                    break
        finally:
            self._serving = False

    def _begin(self, call: _Call) -> None:
        refusal = call.job.refusal()
        if refusal is not None:
            call.on_end(refusal, self._release)
            return
        if self._threads < self.running:
            self._threads += 1
            threading.Thread(target=self._work, name=f"hekla-{self._name}-{self._threads}", daemon=True).start()
        self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            started_s = time.monotonic()
            result = self._run(call)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._end, call, result, started_s, time.monotonic())

    def _run(self, call: _Call) -> Values | HeklaError:
        try:
            return self.stage.run(call.values, call.state)
        except HeklaError as error:
            return error
        # A thread's boundary: the stage's own bug becomes its job's error.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return EngineError(f"{type(error).__name__}: {error}", where=f"stage {self._name!r}")

    def _end(self, call: _Call, result: Values | HeklaError, started_s: float, ended_s: float) -> None:
        job = call.job
        self._statistics.stage(self._name, ended_s - started_s)
        if job.spans is not None:
            job.spans.append((self._name, started_s, ended_s))
        call.on_end(job.refusal() or result, self._release)

    def _release(self) -> None:
        self._free += 1
        self._serve()


def _keep() -> None:
    """A job that never had a slot has none to give back."""
