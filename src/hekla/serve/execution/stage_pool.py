"""A pipeline stage with its own threads and a bounded queue."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hekla.base.errors import CancelledError, EngineError, HeklaError, OverloadedError
from hekla.protocols.stage import Stage, Values
from hekla.serve.config import StageConfig
from hekla.serve.execution.job import Job
from hekla.serve.observe.statistics import ModelStatistics

# What a stage hands over, and the slot it keeps until the next stage has taken it.
Release = Callable[[], None]
OnStageEnd = Callable[[Values | HeklaError, Release], None]


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
        self._waiting: deque[Callable[[], None]] = deque()
        self._for_room: deque[Callable[[], None]] = deque()
        self._threads = ThreadPoolExecutor(config.concurrency, thread_name_prefix=f"hekla-{name}")

    def admit(self) -> None:
        """Return if a new request may come in. Errors: OverloadedError if the queue is full."""
        if len(self._waiting) >= self._config.queue:
            raise OverloadedError(
                f"stage {self._name!r} has {len(self._waiting)} requests waiting",
                retry_after_s=1.0,
                cure="retry after the time stated",
            )

    def when_room(self, proceed: Callable[[], None]) -> None:
        """Call `proceed` as soon as the queue is not full: at once, or when a job leaves it."""
        if len(self._waiting) < self._config.queue:
            proceed()
        else:
            self._for_room.append(proceed)

    def start(self, values: Values, job: Job, on_end: OnStageEnd) -> None:
        """Queue the job for this stage."""

        def begin() -> None:
            if job.cancelled:
                on_end(CancelledError("the caller went away"), self._release)
                return
            started_s = time.monotonic()
            future = self._loop.run_in_executor(self._threads, self._run, values, job)
            future.add_done_callback(lambda done: self._end(done.result(), started_s, job, on_end))

        if self._free:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, values: Values, job: Job) -> Values | HeklaError:
        try:
            return self.stage.run(values, job.state)
        except HeklaError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a thread's boundary: the stage's own bug becomes its job's error
            return EngineError(f"{type(error).__name__}: {error}", where=f"stage {self._name!r}")

    def _end(self, result: Values | HeklaError, started_s: float, job: Job, on_end: OnStageEnd) -> None:
        ended_s = time.monotonic()
        self._statistics.stage(self._name, ended_s - started_s)
        job.spans.append((self._name, started_s, ended_s))
        on_end(CancelledError("the caller went away") if job.cancelled else result, self._release)

    def _release(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1
        while self._for_room and len(self._waiting) < self._config.queue:
            self._for_room.popleft()()
