"""Sequences: requests of one correlation id run in order and share state (OIP's sequence extension)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from hekla.base.errors import HeklaError, InputError, OverloadedError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array, TensorSpec
from hekla.serve.config import SequenceConfig
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.job import Job, OnEnd


class _Slot:
    """One live sequence."""

    __slots__ = ("busy", "last_used_s", "state", "tensors", "waiting")

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.tensors: dict[str, Array] = {}
        self.busy = False
        self.waiting: deque[Callable[[], None]] = deque()
        self.last_used_s = 0.0


class SequenceExecutor:
    """Puts the state of a request's sequence into its job and lets one request of a sequence run at a time.

    A failed request leaves the state as it was before it. Memory: at most `max_sequences` states; one not used for
    `idle_timeout_s` is forgotten.
    """

    def __init__(self, inner: Executor, config: SequenceConfig, model: str) -> None:
        self._inner, self._config, self._model = inner, config, model
        self._slots: dict[int | str, _Slot] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the model inside."""
        return self._inner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As the model inside."""
        return self._inner.outputs

    @property
    def live(self) -> int:
        """How many sequences have state."""
        return len(self._slots)

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Run after the sequence's earlier requests. Errors: InputError for a request outside any started sequence."""
        try:
            slot = self._slot(job)
        except HeklaError as error:
            on_end(error)
            return

        def begin() -> None:
            slot.busy = True
            step = job.request.sequence
            assert step is not None
            tensors, state = ({}, {}) if step.start else (dict(slot.tensors), dict(slot.state))
            job.tensors, job.state = tensors, state

            def end(result: Values | HeklaError) -> None:
                slot.busy = False
                slot.last_used_s = time.monotonic()
                if not isinstance(result, HeklaError):
                    slot.tensors, slot.state = tensors, state
                if slot.waiting:
                    asyncio.get_running_loop().call_soon(slot.waiting.popleft())
                elif step.end:
                    self._slots.pop(step.id, None)
                on_end(result)

            self._inner.start(values, job, end)

        if slot.busy or slot.waiting:
            slot.waiting.append(begin)
        else:
            begin()

    async def drain(self) -> None:
        """Wait until everything started has ended."""
        await self._inner.drain()

    def close(self) -> None:
        """Forget every sequence and free what is inside."""
        self._slots.clear()
        self._inner.close()

    def _slot(self, job: Job) -> _Slot:
        step = job.request.sequence
        if step is None:
            raise InputError(
                f"model {self._model!r} keeps state between requests and needs to know whose this is",
                where="$.parameters.sequence_id",
                cure="give sequence_id, and sequence_start with the first request of a sequence",
            )
        slot = self._slots.get(step.id)
        if slot is not None and not self._is_stale(slot):
            return slot
        if not step.start:
            raise InputError(
                f"sequence {step.id!r} of model {self._model!r} is not known: it was never started, or it ended",
                where="$.parameters.sequence_start",
                cure="set sequence_start on the first request of a sequence",
            )
        if len(self._slots) >= self._config.max_sequences:
            self._forget_idle()
        slot = self._slots[step.id] = _Slot()
        return slot

    def _is_stale(self, slot: _Slot) -> bool:
        idle_s = time.monotonic() - slot.last_used_s
        return not slot.busy and not slot.waiting and idle_s > self._config.idle_timeout_s

    def _forget_idle(self) -> None:
        for key, slot in list(self._slots.items()):
            if self._is_stale(slot):
                del self._slots[key]
        if len(self._slots) >= self._config.max_sequences:
            raise OverloadedError(
                f"model {self._model!r} has {len(self._slots)} live sequences, as many as it may keep",
                retry_after_s=self._config.idle_timeout_s,
                where="[sequence].max_sequences",
                cure="end sequences with sequence_end, or raise the limit",
            )
