"""Sequences: requests of one correlation id run in order and share state (OIP's sequence extension)."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

from hekla.base.errors import HeklaError, InputError, OverloadedError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array, TensorSpec
from hekla.serve.config import SequenceConfig
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.request import SequenceStep


class _Slot:
    """One live sequence."""

    __slots__ = ("busy", "has_started", "last_used_s", "state", "tensors", "waiting")

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.tensors: dict[str, Array] = {}
        self.has_started = False  # a start was answered, and no end yet
        self.busy = False  # until nobody waits any more
        self.waiting: deque[Callable[[], None]] = deque()
        self.last_used_s = 0.0


class SequenceExecutor:
    """Puts the state of a request's sequence into its job and lets one request of a sequence run at a time.

    A failed request leaves the sequence as it was before it: one that failed to start was never started, one that
    failed to end goes on. Memory: at most `max_sequences` states; one not used for `idle_timeout_s` is forgotten when
    the next one starts.
    """

    def __init__(
        self, inner: Executor, config: SequenceConfig, model: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner, self._config, self._model, self._clock = inner, config, model, clock
        self._loop = asyncio.get_running_loop()
        self._slots: OrderedDict[int | str, _Slot] = OrderedDict()  # longest unused first
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the model inside."""
        return self._inner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As the model inside."""
        return self._inner.outputs

    @property
    def is_ready(self) -> bool:
        """As the model inside."""
        return self._inner.is_ready

    @property
    def live(self) -> int:
        """How many sequences have state."""
        return len(self._slots)

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Run after the sequence's earlier requests. Errors: InputError for a request outside any started sequence."""
        try:
            step = self._step(job)
            slot = self._slot(step)
        except HeklaError as error:
            on_end(error)
            return
        self._in_flight += 1
        self._idle.clear()

        def begin() -> None:
            refusal = job.refusal() or (None if step.start or slot.has_started else self._unknown(step))
            if refusal is not None:
                end(refusal)
                return
            job.tensors, job.state = ({}, {}) if step.start else (dict(slot.tensors), dict(slot.state))
            self._inner.start(values, job, end)

        def end(result: Values | HeklaError) -> None:
            if not isinstance(result, HeklaError):
                slot.tensors, slot.state = job.tensors or {}, job.state
                slot.has_started = not step.end
            self._next(step, slot)
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            on_end(result)

        if slot.busy:
            slot.waiting.append(begin)
        else:
            slot.busy = True
            begin()

    async def drain(self) -> None:
        """Wait until everything started has ended."""
        await self._idle.wait()
        await self._inner.drain()

    def close(self) -> None:
        """Forget every sequence and free what is inside."""
        self._slots.clear()
        self._inner.close()

    def _next(self, step: SequenceStep, slot: _Slot) -> None:
        """Let the next request of a sequence begin. It stays busy until then, so that nobody comes between."""
        slot.last_used_s = self._clock()
        self._slots.move_to_end(step.id)
        if slot.waiting:
            self._loop.call_soon(slot.waiting.popleft())
            return
        slot.busy = False
        if not slot.has_started:
            del self._slots[step.id]

    def _step(self, job: Job) -> SequenceStep:
        step = job.request.sequence
        if step is None:
            raise InputError(
                f"model {self._model!r} keeps state between requests and needs to know whose this is",
                where="$.parameters.sequence_id",
                cure="give sequence_id, and sequence_start with the first request of a sequence",
            )
        return step

    def _slot(self, step: SequenceStep) -> _Slot:
        self._forget_idle()
        slot = self._slots.get(step.id)
        if slot is not None:
            return slot
        if not step.start:
            raise self._unknown(step)
        if len(self._slots) >= self._config.max_sequences:
            raise OverloadedError(
                f"model {self._model!r} has {len(self._slots)} live sequences, as many as it may keep",
                retry_after_s=self._config.idle_timeout_s,
                where="[sequence].max_sequences",
                cure="end sequences with sequence_end, or raise the limit",
            )
        slot = self._slots[step.id] = _Slot()
        return slot

    def _unknown(self, step: SequenceStep) -> InputError:
        return InputError(
            f"sequence {step.id!r} of model {self._model!r} is not known: it was never started, or it ended",
            where="$.parameters.sequence_start",
            cure="set sequence_start on the first request of a sequence",
        )

    def _forget_idle(self) -> None:
        """Drop the states nobody used for too long. They are the first ones: this looks at one more than it drops."""
        limit_s = self._clock() - self._config.idle_timeout_s
        for key, slot in list(self._stale(limit_s)):
            if not slot.busy:
                del self._slots[key]

    def _stale(self, limit_s: float) -> Iterator[tuple[int | str, _Slot]]:
        for key, slot in self._slots.items():
            if not slot.busy and slot.last_used_s >= limit_s:
                return
            yield key, slot
