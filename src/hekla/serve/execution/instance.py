"""One loaded engine and the thread that runs it."""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.engine import Cancellation, Engine
from hekla.protocols.tensor import Tensors

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ran:
    """How an engine call ended; times in seconds of time.monotonic()."""

    result: Tensors | HeklaError
    started_s: float
    ended_s: float


class Instance:
    """An engine that is idle, busy, or lost (its call hung and nobody waits for it any more).

    Calls come from the event loop only. The thread starts with the first call that needs it and ends with `close`.
    """

    def __init__(self, engine: Engine, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.busy = False
        self.lost = False
        self.was_stopped = False  # its last call was: the engine may have died of it, and nobody noticed yet
        self._name, self._loop = name, loop
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run_here(self, inputs: Tensors, outputs: tuple[str, ...]) -> Ran:
        """Run on the calling thread: only for engines that never block and calls that are short."""
        return _run(self.engine, inputs, outputs, None)

    def start(
        self, inputs: Tensors, outputs: tuple[str, ...], cancellation: Cancellation, on_end: Callable[[Ran], None]
    ) -> None:
        """Run on the instance's thread; `on_end` is called on the event loop, even after the instance was lost."""
        self.busy = True

        def call() -> None:
            ran = _run(self.engine, inputs, outputs, cancellation)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(on_end, ran)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(call)

    def close(self) -> None:
        """Free the engine. May wait for a running call; a lost instance is freed by its own thread, if ever.

        Never raises: an engine that cannot be closed is only worth a line in the log.
        """
        if self._thread is None:
            self._close_engine()
            return
        self._calls.put(self._close_engine)
        self._calls.put(None)
        if not self.lost:
            self._thread.join()

    def _close_engine(self) -> None:
        try:
            self.engine.close()
        except Exception as error:  # noqa: BLE001 - a plug-in's code; it is gone either way
            _log.warning("an engine of %s was not closed cleanly: %s", self._name, error)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _run(engine: Engine, inputs: Tensors, outputs: tuple[str, ...], cancellation: Cancellation | None) -> Ran:
    started_s = time.monotonic()
    result: Tensors | HeklaError
    try:
        result = engine.run(inputs, outputs, cancellation)
    except HeklaError as error:
        result = error
    # A thread's boundary: an engine's own bug, an exit() in somebody's code, becomes its requests' error.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        result = EngineError(f"{type(error).__name__}: {error}", where="engine")
    return Ran(result, started_s, time.monotonic())
