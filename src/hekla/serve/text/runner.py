"""The thread that owns a text engine.

Others hand it requests and cancellations, which it passes on between two steps; what a step gave goes to the event
loop as one batch. It sleeps while the engine has nothing to do. An engine that fails is closed, every request it had
gets the error, and another is made.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hekla.base.errors import EngineError, HeklaError, UnavailableError
from hekla.protocols.text_engine import RequestId, TextEngine, TextEngineStatus, TextRequest, TokenEvent

_STATUS_S = 0.1  # while it works, its status is looked at so often
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0  # between two attempts to make an engine again
_log = logging.getLogger(__name__)


class Submission(Protocol):
    """Requests that are taken together or not at all."""

    requests: Sequence[TextRequest]

    @property
    def is_cancelled(self) -> bool:
        """True if nobody waits any more. Read on the engine's thread."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Something to be done with the engine between two steps; `done` is called on the loop, with the error if any."""

    call: Callable[[TextEngine], None]
    done: Callable[[HeklaError | None], None]


class Watcher(Protocol):
    """What is told on the event loop, in the order in which it happened."""

    def on_accepted(self, submission: Submission) -> None: ...

    def on_refused(self, submission: Submission, error: HeklaError) -> None: ...

    def on_events(self, events: Sequence[TokenEvent]) -> None: ...

    def on_engine_failed(self, error: EngineError) -> None:
        """All that was accepted is lost."""


class TextRunner:
    """One engine and its thread. Made on the event loop that is told."""

    def __init__(
        self,
        engine: TextEngine,
        make_engine: Callable[[], TextEngine],
        watcher: Watcher,
        idle_s: float = 1.0,
        *,
        status: TextEngineStatus | None = None,
    ) -> None:
        """With a `status` the engine is another thread's that hangs in it: one of our own is made first."""
        self.engine = engine  # for the methods any thread may call
        self.is_ready = status is None
        self.status: TextEngineStatus = engine.status() if status is None else status  # as of the last look
        self._make_engine, self._watcher, self._idle_s = make_engine, watcher, idle_s
        self._loop = asyncio.get_running_loop()
        # What others hand over and what the loop is told: appended and taken one by one, which needs no lock.
        self._commands: deque[Submission | RequestId | Errand] = deque()
        self._news: deque[Callable[[], None]] = deque()
        self._is_posted = False
        self._wake = threading.Event()
        self._is_closing = self._is_abandoned = False
        self._began_s = 0.0  # the step that runs
        self._looked_s = 0.0
        self._thread = threading.Thread(target=self._work, name=f"hekla-text-{engine.info.name}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Hand requests over. Any thread."""
        self._commands.append(submission)
        self._wake.set()

    def cancel(self, request_ids: Sequence[RequestId]) -> None:
        """Take requests out before the next step. Any thread."""
        self._commands.extend(request_ids)
        self._wake.set()

    def run(self, errand: Errand) -> None:
        """Do something before the next step. Any thread."""
        self._commands.append(errand)
        self._wake.set()

    @property
    def step_s(self) -> float:
        """How long the step that runs has run; 0 between steps. Any thread."""
        began_s = self._began_s
        return time.monotonic() - began_s if began_s else 0.0

    def abandon(self) -> None:
        """Leave the thread to itself: it hangs. Should it ever come back, it closes its engine and ends."""
        self._is_closing = True
        self._is_abandoned = True

    def close(self) -> None:
        """End the thread and close the engine. Waits; not from the event loop."""
        self._is_closing = True
        self._wake.set()
        if self._thread.ident is None:
            self.engine.close()
        else:
            self._thread.join()

    # The thread

    def _work(self) -> None:
        is_tidy = False
        if not self.is_ready:
            self._make_again()
        while not self._is_closing:
            self._wake.clear()
            self._take_commands()
            if self.engine.has_work:
                is_tidy = False
                self._step()
            elif not self._commands:
                self._look()
                if not self._wake.wait(None if is_tidy else self._idle_s):
                    is_tidy = True
                    self._guarded(self.engine.tidy)
        with contextlib.suppress(Exception):  # a plug-in's code; it is gone either way
            self.engine.close()

    def _take_commands(self) -> None:
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, int):
                self._guarded(partial(self.engine.cancel, command))
            elif isinstance(command, Errand):
                self._run(command)
            elif not command.is_cancelled:
                self._submit(command)

    def _run(self, errand: Errand) -> None:
        failure: HeklaError | None = None
        try:
            errand.call(self.engine)
        except HeklaError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a plug-in's code: the engine's requests go on
            _log.exception("a text engine could not do what it was asked to")
            failure = EngineError(f"{type(error).__name__}: {error}")
        self._look()
        self._tell(partial(errand.done, failure))

    def _submit(self, submission: Submission) -> None:
        taken: list[RequestId] = []
        try:
            for request in submission.requests:
                self.engine.submit(request)
                taken.append(request.request_id)
        except HeklaError as error:
            for request_id in taken:
                self.engine.cancel(request_id)
            refusal = error
        except Exception as error:  # noqa: BLE001 - a plug-in's code: the engine's other requests go on
            _log.exception("a text engine could not take a request")
            for request_id in taken:
                self.engine.cancel(request_id)
            refusal = EngineError(f"{type(error).__name__}: {error}")
        else:
            self._tell(lambda: self._watcher.on_accepted(submission))
            return
        self._tell(lambda: self._watcher.on_refused(submission, refusal))

    def _step(self) -> None:
        self._began_s = time.monotonic()
        try:
            events = self.engine.step()
        except Exception as error:  # noqa: BLE001 - an engine's fault must not end its thread
            self._began_s = 0.0
            self._replace(error)
            return
        self._began_s = 0.0
        if events:
            self._tell(lambda: self._watcher.on_events(events))
        if time.monotonic() - self._looked_s >= _STATUS_S:
            self._look()

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        with contextlib.suppress(Exception):  # the next step says what is wrong
            self.status = self.engine.status()

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - an engine's fault must not end its thread
            self._replace(error)

    def _replace(self, error: Exception) -> None:
        """Give the engine up and make another; until it is there, what comes is refused."""
        failure = error if isinstance(error, EngineError) else EngineError(f"{type(error).__name__}: {error}")
        _log.error("a text engine failed and is loaded again", exc_info=error)
        self.is_ready = False
        with contextlib.suppress(Exception):  # a plug-in's code; it is gone either way
            self.engine.close()
        self._tell(lambda: self._watcher.on_engine_failed(failure))
        self._make_again()

    def _make_again(self) -> None:
        wait_s = _FIRST_RETRY_S
        while not self._is_closing:
            try:
                self.engine = self._make_engine()
            except Exception as again:  # noqa: BLE001 - a plug-in's code: the server goes on without it
                _log.error("a text engine could not be loaded again", exc_info=again)
            else:
                self.is_ready = True
                return
            retry_s = time.monotonic() + wait_s
            while not self._is_closing and (left_s := retry_s - time.monotonic()) > 0:
                self._wake.clear()
                self._refuse_commands()
                self._wake.wait(left_s)
            wait_s = min(2 * wait_s, _LAST_RETRY_S)

    def _refuse_commands(self) -> None:
        error = UnavailableError("the model's engine failed and is being loaded again", cure="retry")
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, Errand):
                self._tell(partial(command.done, error))
            elif not isinstance(command, int):
                self._tell(partial(self._watcher.on_refused, command, error))

    def _tell(self, news: Callable[[], None]) -> None:
        """Have something called on the event loop. One wake-up serves all that happens until the loop comes round."""
        if self._is_abandoned:
            return
        self._news.append(news)
        if not self._is_posted:
            self._is_posted = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._is_posted = False  # first: what is appended from here on posts again
        while self._news:
            try:
                self._news.popleft()()
            except Exception:  # noqa: BLE001 - one request's door: the others' news follow
                _log.exception("news of a text engine could not be handed over")
