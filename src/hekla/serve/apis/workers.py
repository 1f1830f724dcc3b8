"""The threads that answer an interface's requests, and the bound on how many wait for one."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from hekla.base.errors import DeadlineError, EngineError, HeklaError, OverloadedError

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_RETRY_S = 1.0


class Task(Generic[_Answer]):
    """Work handed over. `cancel` before it begins and it never does."""

    def __init__(self, future: "Future[_Answer]") -> None:
        self._future = future

    def cancel(self) -> None:
        """Do not begin; what has begun is finished, and nobody hears of it."""
        self._future.cancel()


class Workers:
    """A few threads and a bounded queue. Lives on one event loop; work runs on the threads."""

    def __init__(self, name: str, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"hekla-{name}")
        self._name, self._limit = name, threads + queue
        self._inside = 0
        self._lock = threading.Lock()

    @property
    def inside(self) -> int:
        """How many pieces of work wait or run."""
        return self._inside

    def submit(
        self, work: Callable[[], _Answer], deadline_s: float, done: "Callable[[_Answer | HeklaError], None]"
    ) -> Task[_Answer]:
        """Run work on a thread; `done` is called on the loop with its result or error, unless cancelled.

        deadline_s: on time.monotonic(); work that would begin later is not done. Errors: OverloadedError at once.
        """
        if self._inside >= self._limit:
            message = f"{self._inside} requests wait for {self._name}"
            raise OverloadedError(message, retry_after_s=_RETRY_S, cure="try again later")
        loop = asyncio.get_running_loop()

        def run() -> _Answer:
            if time.monotonic() > deadline_s:
                raise DeadlineError("the time allowed was over before the work began")
            return work()

        self._count(1)
        future = self._pool.submit(run)

        def ended(future: "Future[_Answer]") -> None:
            self._count(-1)
            if not future.cancelled():
                answer = _outcome(future)
                loop.call_soon_threadsafe(done, answer)

        future.add_done_callback(ended)
        return Task(future)

    def _count(self, change: int) -> None:
        with self._lock:
            self._inside += change

    async def run(self, work: Callable[[], _Answer]) -> _Answer:
        """Run work on a thread, unbounded: for what belongs to a request that was admitted."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Finish what was handed over, then end the threads. Waits."""
        self._pool.shutdown(wait=True)


def _outcome(future: "Future[_Answer]") -> "_Answer | HeklaError":
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, HeklaError):
        return error
    _log.error("a request could not be answered", exc_info=error)
    return EngineError(f"internal fault: {type(error).__name__}", where="server", cure="see its log")
