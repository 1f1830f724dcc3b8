"""One version of a model that writes text, ready to answer: admission, its engine's thread, who waits for what."""

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hekla.base.errors import (
    CancelledError,
    EngineError,
    HeklaError,
    InputError,
    OverloadedError,
    UnavailableError,
)
from hekla.protocols.text_engine import RequestId, TextEngine, TextModelInfo, TokenEvent
from hekla.serve.config import ModelConfig
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.text.adapters import Adapters
from hekla.serve.text.generation import Generation, OnText, TextTicket
from hekla.serve.text.prepare import Terms, placed, prepare
from hekla.serve.text.runner import Errand, Submission, TextRunner
from hekla.serve.text.statistics import TextStatistics
from hekla.serve.text.wish import Begun, Receiver, TextWish

_RATE_ANSWERS = 8  # over which the measured rate is a running mean
_MOST_SENT = 4096  # as many as tokens' times are kept
_log = logging.getLogger(__name__)


class TextModel:
    """Lives on the event loop; its engine on a thread of its own, prompts are prepared on another."""

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        engine: TextEngine,
        make_engine: Callable[[], TextEngine],
        statistics: ModelStatistics,
        on_text: OnText | None = None,
        idle_s: float = 1.0,
    ) -> None:
        self.config, self.version = config, version
        self.info: TextModelInfo = engine.info
        self.statistics, self.text_statistics = statistics, TextStatistics()
        self._on_text = on_text
        self._loop = asyncio.get_running_loop()
        self.adapters = Adapters(config.path.parent / str(version), self._run)
        self._make_first, self._idle_s = make_engine, idle_s
        self._runner = TextRunner(engine, self._make_engine, self, idle_s)
        self._ids = itertools.count(1)
        self._live: dict[RequestId, tuple[Generation, int]] = {}
        self._waiting = 0  # requests without a first token
        self._interval_s = 0.0  # between two answers while there is work: a running mean
        self._last_end_s = 0.0
        self._is_draining = False
        self._none_left = asyncio.Event()
        self._to_prepare: queue.SimpleQueue[tuple[Generation, Terms] | None] = queue.SimpleQueue()
        self._preparer = threading.Thread(target=self._prepare_all, name="hekla-text-prompts", daemon=True)
        self._longest_step_s = config.queue.run_timeout_ms / 1e3
        self._watch: asyncio.TimerHandle | None = None
        self._preparer.start()
        self._runner.start()
        if self._longest_step_s:
            self._look_for_hang()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    @property
    def engine(self) -> TextEngine:
        """The engine, for the methods that any thread may call."""
        return self._runner.engine

    @property
    def runner(self) -> TextRunner:
        """The engine's thread, for its status."""
        return self._runner

    @property
    def is_ready(self) -> bool:
        """True while a request could be answered now."""
        return self._runner.is_ready and not self._is_draining

    @property
    def waiting(self) -> int:
        """How many answers have no token yet."""
        return self._waiting

    @property
    def running(self) -> int:
        """How many answers are being written."""
        return len(self._live) - self._waiting

    def meant(self, wish: TextWish) -> TextWish:
        """Return a wish with what [text.sampling] says where it says nothing."""
        if not wish.left_out:
            return wish
        # Any: each is of its field's type
        own: dict[str, Any] = {key: getattr(self.config.text.sampling, key) for key in wish.left_out}
        return replace(wish, sampling=replace(wish.sampling, **own), left_out=frozenset())

    def start(self, wish: TextWish, receiver: Receiver) -> TextTicket:
        """Take a request. The receiver is told on the loop, never before this returns.

        Errors: UnavailableError, OverloadedError (at once, nothing was computed); InputError for a priority.
        """
        count = len(wish.prompts) * wish.answers
        try:
            terms = self._terms(wish)
            self._admit(count)
        except HeklaError as error:
            if wish.is_counted:
                self.statistics.failed(error, time.monotonic() - wish.received_s)
            raise
        generation = Generation(self, self.meant(wish), receiver, [RequestId(next(self._ids)) for _ in range(count)])
        if not self._live:
            self._last_end_s = time.monotonic()
        for index, request_id in enumerate(generation.ids):
            self._live[request_id] = (generation, index)
        self._waiting += count
        self._to_prepare.put((generation, terms))
        return generation

    def cancel(self, generation: Generation) -> None:
        """Stop the work for a request; its pages are free before the engine's next step."""
        if generation.has_ended:
            return
        generation.is_cancelled = True
        self._runner.cancel([request_id for request_id in generation.ids if request_id in self._live])
        if generation.wish.is_counted:
            self.statistics.cancelled += 1
        for index, timeline in enumerate(generation.timelines):
            if generation.ids[index] in self._live:
                self.text_statistics.of(generation.wish.tenant).finished["cancelled"] += 1
                timeline.end("cancelled")
        self._forget(generation, CancelledError("the caller went away"))

    def end_all(self) -> None:
        """End every answer now, as it is: the server stops. What the engine has not taken yet is refused."""
        stopping = UnavailableError("the server is stopping", where=f"model {self.name!r}")
        self._runner.cancel(tuple(self._live))
        for generation in self._generations():
            if not generation.is_accepted:
                generation.is_cancelled = True
                self._fail(generation, stopping)
        self.on_events([TokenEvent(request_id, None, "", "cancelled") for request_id in tuple(self._live)])

    async def drain(self) -> None:
        """Take no more, and wait until every answer is whole."""
        self._is_draining = True
        while self._live:
            self._none_left.clear()
            await self._none_left.wait()

    def close(self) -> None:
        """End the threads and free the engine. Waits; not from the event loop."""
        if self._watch is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its timers with it
                self._loop.call_soon_threadsafe(self._watch.cancel)
        self._to_prepare.put(None)
        self._preparer.join()
        self._runner.close()

    def _make_engine(self) -> TextEngine:
        """Return another engine, on its thread."""
        engine = self._make_first()
        self.adapters.load_into(engine)
        return engine

    def _look_for_hang(self) -> None:
        """Give up an engine whose step takes longer than it may, with its thread, and make another."""
        self._watch = self._loop.call_later(self._longest_step_s / 4, self._look_for_hang)
        hung = self._runner
        if hung.step_s <= self._longest_step_s:
            return
        error = EngineError(
            f"a step ran longer than {self._longest_step_s:g} s", where=f"model {self.name!r}", cure="retry"
        )
        _log.error("the engine of model %s hangs and is loaded again", self.name)
        hung.abandon()
        self._runner = TextRunner(hung.engine, self._make_engine, self, self._idle_s, status=hung.status)
        self.statistics.restarts += 1
        for generation in self._generations():  # also those it was handed and never took
            generation.is_cancelled = True
            self._fail(generation, error)
        self._runner.start()

    # Admission

    def _terms(self, wish: TextWish) -> Terms:
        levels = self.config.queue.priority_levels
        priority = wish.priority or (levels + 1) // 2
        if not 1 <= priority <= levels:
            raise InputError(
                f"priority {priority} is not between 1 and {levels}", where="$.priority", cure="1 is served first"
            )
        timeout_s = wish.timeout_s or self.config.queue.timeout_ms / 1e3
        deadline_s = (wish.received_s or time.monotonic()) + timeout_s if timeout_s else None
        return Terms(-priority, deadline_s, self._on_text is not None)

    def _admit(self, count: int) -> None:
        where = f"model {self.name!r}"
        if self._is_draining:
            raise UnavailableError("is being unloaded", where=where, cure="retry")
        if not self._runner.is_ready:
            raise UnavailableError("its engine failed and is being loaded again", where=where, cure="retry")
        limit = self.config.text.max_waiting
        if self._waiting + count > limit:
            raise OverloadedError(
                f"{self._waiting} answers wait for their first token and {count} more would be over {limit}",
                retry_after_s=max(1.0, self._waiting * self._interval_s),
                where=where,
                cure="retry after the time stated",
            )

    # The thread that prepares prompts

    def _prepare_all(self) -> None:
        while (taken := self._to_prepare.get()) is not None:
            generation, terms = taken
            if generation.is_cancelled:
                continue
            try:
                generation.requests = prepare(self._runner.engine, generation.wish, terms, generation.ids)
            except HeklaError as error:
                failure: HeklaError = error
            except Exception as error:  # noqa: BLE001 - a plug-in's code: the next prompt is prepared all the same
                _log.exception("a prompt could not be prepared")
                failure = EngineError(f"{type(error).__name__}: {error}")
            else:
                self._runner.submit(generation)
                continue
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self.on_refused, generation, failure)

    # What the runner tells, on the loop

    def on_accepted(self, submission: Submission) -> None:
        """The engine has a request."""
        assert isinstance(submission, Generation)
        generation = submission
        if generation.has_ended:
            return
        generation.is_accepted = True
        answers = generation.wish.answers
        prompt_tokens = tuple(len(request.prompt) for request in generation.requests[::answers])
        self.text_statistics.of(generation.wish.tenant).prompt_tokens += sum(prompt_tokens)
        generation.receiver.on_begin(Begun(prompt_tokens))

    def on_refused(self, submission: Submission, error: HeklaError) -> None:
        """The engine, or what prepares for it, will not have a request."""
        assert isinstance(submission, Generation)
        if not submission.has_ended:
            self._fail(submission, error)

    def on_events(self, events: Sequence[TokenEvent]) -> None:
        """A step gave something."""
        now = time.monotonic()
        touched: dict[int, Generation] = {}
        for event in events:
            found = self._live.get(event.request_id)
            if found is None:  # cancelled since
                continue
            generation, index = found
            if event.error is not None:
                event = replace(
                    event, error=placed(event.error, generation.wish, generation.requests[index])
                )  # for all below
            self._note(generation, index, event, now)
            touched[id(generation)] = generation
            try:
                generation.receiver.on_event(index, event)
            except Exception as error:  # noqa: BLE001 - a request's boundary: the others of the step go on
                self._give_up(generation, error)
        for generation in touched.values():
            if generation.has_ended:
                continue
            try:
                generation.receiver.on_flush()
                if self._on_text is not None and len(generation.sent) < _MOST_SENT:
                    generation.sent.append((now, time.monotonic() - now))
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(generation, error)
            if not generation.left and not generation.has_ended:
                self._complete(generation, now)

    def on_engine_failed(self, error: EngineError) -> None:
        """All the engine had is lost."""
        self.statistics.restarts += 1
        for generation in self._generations():
            if generation.is_accepted:
                self._fail(generation, error)

    def _generations(self) -> list[Generation]:
        """Return the requests that have not ended."""
        return list({id(generation): generation for generation, _ in self._live.values()}.values())

    def _run(self, errand: Errand) -> None:
        """Have something done between two steps. Errors: UnavailableError."""
        if not self.is_ready:
            raise UnavailableError("is not ready", where=f"model {self.name!r}", cure="retry")
        self._runner.run(errand)

    def _give_up(self, generation: Generation, error: Exception) -> None:
        """A door could not take what came: a bug of ours, told to this client alone."""
        failure = error if isinstance(error, HeklaError) else EngineError(f"internal fault: {type(error).__name__}")
        if failure is not error:
            _log.error("tokens could not be handed over", exc_info=error)
        self._runner.cancel([request_id for request_id in generation.ids if request_id in self._live])
        if not generation.has_ended:
            self._fail(generation, failure)

    # Counting

    def _note(self, generation: Generation, index: int, event: TokenEvent, now: float) -> None:
        statistics = self.text_statistics.of(generation.wish.tenant)
        timeline = generation.timelines[index]
        if event.token is not None:
            if not timeline.tokens:
                self._waiting -= 1
                statistics.began(now - generation.wish.received_s, now, event.cached_tokens)
            else:
                statistics.went_on(now - timeline.last_s, now)
            timeline.token(now, event.times)
        if event.finish_reason is not None:
            if not timeline.tokens:
                self._waiting -= 1
            timeline.end(event.finish_reason)
            generation.left -= 1
            del self._live[event.request_id]
            writing_s = timeline.last_s - timeline.first_s
            received_s = generation.wish.received_s
            statistics.ended(event.finish_reason, now - received_s, timeline.tokens, writing_s, now)
            self._measure_rate(now)

    def _measure_rate(self, now: float) -> None:
        interval_s = now - self._last_end_s
        self._last_end_s = now
        weight = 1 / _RATE_ANSWERS
        self._interval_s += weight * (interval_s - self._interval_s) if self._interval_s else interval_s

    def _complete(self, generation: Generation, now: float) -> None:
        if generation.wish.is_counted:
            self.statistics.succeeded(1, now - generation.wish.received_s, int(time.time() * 1e3))
        self._forget(generation, None)

    def _fail(self, generation: Generation, error: HeklaError) -> None:
        if generation.wish.is_counted:
            self.statistics.failed(error, time.monotonic() - generation.wish.received_s)
        statistics = self.text_statistics.of(generation.wish.tenant)
        if generation.is_accepted:
            statistics.finished["error"] += generation.left
        self._forget(generation, error)
        try:
            generation.receiver.on_error(error)
        except Exception:  # noqa: BLE001 - a request's boundary: the others are told all the same
            _log.exception("an error could not be told")

    def _forget(self, generation: Generation, error: HeklaError | None) -> None:
        generation.has_ended = True
        for index, request_id in enumerate(generation.ids):
            if self._live.pop(request_id, None) is not None and not generation.timelines[index].tokens:
                self._waiting -= 1
        if not self._live:
            self._none_left.set()
        if self._on_text is not None:
            try:
                self._on_text(generation, error)
            except Exception:  # noqa: BLE001 - logged with its trace: nobody loses an answer because it was not traced
                _log.exception("a request could not be traced")
