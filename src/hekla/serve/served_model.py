"""One version of a model, ready to answer: checks, limits and counts around whatever executes it."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hekla.base.errors import (
    CancelledError,
    DeadlineError,
    EngineError,
    HeklaError,
    InputError,
    OverloadedError,
    UnavailableError,
)
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Tensors, TensorSpec
from hekla.serve.config import ModelConfig, PipelineConfig
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.validate import check_inputs, check_outputs
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.observe.trace_parent import trace_id_of
from hekla.serve.request import Done, InferRequest, InferResponse

# Called when a request has ended: the job, its answer or error, and its total seconds. Returns the `traceparent` of the
# span it made of them, or "".
OnAnswered = Callable[[Job, InferResponse | HeklaError, float], str]

_NO_STAGES = PipelineConfig()
# The rate is measured over so many answers or so many seconds of work: answers of a batch come all at once.
_RATE_ANSWERS, _RATE_S = 8, 0.1
_log = logging.getLogger(__name__)


class ServedModel:
    """Takes requests until `retire`; after that it answers those it took and refuses new ones."""

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        executor: Executor,
        statistics: ModelStatistics,
        on_answered: OnAnswered | None = None,
    ) -> None:
        self.config, self.version, self.statistics = config, version, statistics
        self.executor = executor
        self.inputs: tuple[TensorSpec, ...] = executor.inputs
        self.outputs: tuple[TensorSpec, ...] = executor.outputs
        self._output_set = frozenset(spec.name for spec in self.outputs)
        self.in_flight = 0
        self._on_answered = on_answered
        self._version_text = str(version)
        self._default_timeout_s = config.queue.timeout_ms / 1e3
        self._default_priority = (config.queue.priority_levels + 1) // 2
        self._loop = asyncio.get_running_loop()
        self._retired = False
        self._none_left = asyncio.Event()  # only watched once retired
        self._interval_s = 0.0  # between two answers while there was work: the measured rate
        self._counted_from_s, self._worked_s, self._answers = 0.0, 0.0, 0
        # An engine's own queue is bounded, knows its rate and watches deadlines; what runs through stages, steps or
        # sequences is bounded and watched here.
        self._is_composed = config.graph is not None or config.sequence is not None or config.pipeline != _NO_STAGES

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    def submit(self, request: InferRequest, done: Done) -> Job:
        """Check and start a request. `done` is called on the loop, never before this returns."""
        now = time.monotonic()
        if not request.received_s:
            request.received_s = now
        job = self._job(request, done, admitted=False)
        try:
            self._admit(job, now)
            signature = request.signature
            if signature is None or signature.checked_by is not self:
                check_inputs(self.inputs, request.inputs)
                if request.outputs:
                    check_outputs(self.outputs, request.outputs)
                if signature is not None:
                    signature.checked_by = self
        except HeklaError as error:
            # Not from inside this call: a door may not be ready for the answer yet.
            self._loop.call_soon(self._refuse, job, error)
            return job
        self._begin(now)
        if self._is_composed and job.deadline_s is not None:
            job.timer = self._loop.call_at(job.deadline_s, self._expire, job)
        submitted = False

        def end(result: Values | HeklaError) -> None:
            if submitted:
                self._end(job, result)
            else:
                self._loop.call_soon(self._end, job, result)

        self.executor.start(request.inputs, job, end)
        submitted = True
        return job

    def submit_part(self, inputs: Tensors, outer: Job, on_end: OnEnd) -> Job:
        """Start a part of a request that was let in already; never refused for being too many."""
        whole = outer.request
        request = InferRequest(
            self.name,
            inputs,
            sequence=whole.sequence,
            received_s=time.monotonic(),
            request_id=whole.request_id,
            trace_parent=whole.trace_parent,
        )
        job = self._job(request, _nobody, admitted=True)
        job.priority, job.deadline_s = outer.priority, outer.deadline_s
        self._begin(request.received_s)

        def end(result: Values | HeklaError) -> None:
            total_s = self._count(job, result)
            if outer.spans is not None:
                outer.spans.append((self.name, request.received_s, request.received_s + total_s))
            on_end(result)

        try:
            refusal = outer.refusal()
            if refusal is not None:
                raise refusal
            _check_arrays(inputs)
            check_inputs(self.inputs, inputs)
        except HeklaError as error:
            end(error)
        else:
            self.executor.start(inputs, job, end)
        return job

    def retire(self) -> None:
        """Refuse new requests from now on."""
        self._retired = True

    async def drain(self) -> None:
        """Retire, and wait until every request taken is answered and nothing runs any more."""
        self.retire()
        while self.in_flight:
            self._none_left.clear()
            await self._none_left.wait()
        await self.executor.drain()

    @property
    def is_retired(self) -> bool:
        """True once new requests are refused."""
        return self._retired

    @property
    def is_plain(self) -> bool:
        """True if a request is nothing but an engine's answer: no stage or state, no deadline, nobody who watches."""
        return not self._is_composed and not self._default_timeout_s and self._on_answered is None

    def enter(self, requests: int) -> None:
        """Count requests in that take the short way."""
        self.in_flight += requests

    def leave(self, requests: int) -> None:
        """Count them out."""
        self.in_flight -= requests
        if self._retired and not self.in_flight:
            self._none_left.set()

    @property
    def is_ready(self) -> bool:
        """True while a request could be answered now."""
        return not self._retired and self.executor.is_ready

    def _begin(self, now: float) -> None:
        if not self.in_flight:
            self._counted_from_s = now
        self.in_flight += 1

    def _job(self, request: InferRequest, done: Done, *, admitted: bool) -> Job:
        timeout_s = request.timeout_us / 1e6 or self._default_timeout_s
        deadline_s = request.received_s + timeout_s if timeout_s else None
        traced = self._on_answered is not None
        return Job(request, done, request.priority or self._default_priority, deadline_s, admitted, traced)

    def _admit(self, job: Job, now: float) -> None:
        if self._retired:
            raise UnavailableError("is being unloaded", where=f"model {self.name!r}", cure="retry")
        levels = self.config.queue.priority_levels
        if not 1 <= job.priority <= levels:
            raise InputError(
                f"priority {job.priority} is not between 1 and {levels}",
                where="$.parameters.priority",
                cure="1 is served first; leave it out for the middle",
            )
        if job.deadline_s is not None and job.deadline_s <= now:
            raise DeadlineError("the time allowed was over before the request was read", where="$.parameters.timeout")
        if self._is_composed:
            self._admit_by_rate()

    def _admit_by_rate(self) -> None:
        queue = self.config.queue
        wait_s = self.in_flight * self._interval_s
        if self.in_flight >= queue.capacity or (queue.max_wait_ms and wait_s * 1e3 > queue.max_wait_ms):
            raise OverloadedError(
                f"{self.in_flight} requests are being worked on, {wait_s:.1f} s of work",
                retry_after_s=max(wait_s - queue.max_wait_ms / 1e3, self._interval_s),
                where=f"model {self.name!r}",
                cure="retry after the time stated",
            )

    def _refuse(self, job: Job, error: HeklaError) -> None:
        """Answer a request that was never begun."""
        total_s = time.monotonic() - job.request.received_s
        self.statistics.failed(error, total_s)
        self._hand_over(job, error, total_s)

    def _expire(self, job: Job) -> None:
        """Answer a request whose time is over, whichever step it is in, and stop the step."""
        job.timer = None
        if not job.cancelled:
            self._end(job, job.too_late())
            job.cancel()

    def _end(self, job: Job, result: Values | HeklaError) -> None:
        if job.ended:  # its time was over, and now the step it was in has ended too
            return
        job.ended = True
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        answer = result if isinstance(result, HeklaError) else self._answer(job.request, result)
        self._hand_over(job, answer, self._count(job, answer))

    def _answer(self, request: InferRequest, result: Values) -> InferResponse | HeklaError:
        try:
            wanted = request.outputs
            if not wanted:
                outputs = result if result.keys() == self._output_set else self._public(result)
            else:
                outputs = {name: result[name] for name in wanted}
        except KeyError as missing:
            return EngineError(f"did not answer output {missing}", where=f"model {self.name!r}")
        if self._is_composed:  # engines check what they answer; stages are believed by nobody
            for spec in self.outputs:
                array = outputs.get(spec.name)
                if array is not None and not _fits(spec, array):
                    return EngineError(
                        f"was answered as {_describe(array)}, not {spec.dtype.value} {list(spec.shape)} as declared",
                        where=f"model {self.name!r}: output {spec.name!r}",
                    )
        return InferResponse(self.config.name, self._version_text, outputs, request.id)

    def _hand_over(self, job: Job, answer: InferResponse | HeklaError, total_s: float) -> None:
        trace_parent = job.request.trace_parent
        if self._on_answered is not None:
            try:
                trace_parent = self._on_answered(job, answer, total_s)
            except Exception:  # noqa: BLE001 - logged with its trace: nobody loses an answer because it was not traced
                _log.exception("a request could not be traced")
            if isinstance(answer, InferResponse):
                answer.trace_parent = trace_parent
        if isinstance(answer, HeklaError) and self._is_fault(answer):
            _log.warning(
                "a request of model %s failed: %s",
                self.name,
                answer,
                extra={
                    "model": self.name,
                    "version": self._version_text,
                    "request_id": job.request.request_id or job.request.id,
                    "trace_id": trace_id_of(trace_parent),
                },
            )
        if job.cancelled:
            return
        try:
            job.done(answer)
        # A request's boundary: neither the other requests of its batch nor the loop suffer.
        except Exception as error:  # noqa: BLE001 - logged with its trace
            _log.exception("an answer of model %s could not be handed over", self.name)
            if isinstance(answer, InferResponse):
                job.done(EngineError(f"the answer could not be sent: {type(error).__name__}", where=self.name))

    def _is_fault(self, error: HeklaError) -> bool:
        """True for what an operator should look into, False for what is the client's or the load's doing."""
        if isinstance(error, UnavailableError):
            return not self._retired and not isinstance(error, OverloadedError)
        return isinstance(error, EngineError)

    def _public(self, result: Values) -> Tensors:
        return {spec.name: result[spec.name] for spec in self.outputs}

    def _count(self, job: Job, result: InferResponse | Values | HeklaError) -> float:
        now = time.monotonic()
        total_s = now - job.request.received_s
        if self._is_composed and not isinstance(result, OverloadedError):
            self._measure_rate(now)
        self.in_flight -= 1
        if self._retired and not self.in_flight:
            self._none_left.set()
        statistics = self.statistics
        if job.request.copied_bytes:
            statistics.bytes_copied["body"] += job.request.copied_bytes
        if not isinstance(result, HeklaError):
            statistics.succeeded(job.rows, total_s, int(time.time() * 1e3))
        elif isinstance(result, CancelledError):
            statistics.cancelled += 1
        else:
            statistics.failed(result, total_s)
        return total_s

    def _measure_rate(self, now: float) -> None:
        """Count an answer, and the time since there was work or the answer before it."""
        self._worked_s += now - self._counted_from_s
        self._counted_from_s = now
        self._answers += 1
        if self._answers >= _RATE_ANSWERS or self._worked_s >= _RATE_S:
            interval_s = self._worked_s / self._answers
            self._interval_s = (self._interval_s + interval_s) / 2 if self._interval_s else interval_s
            self._worked_s, self._answers = 0.0, 0


def _check_arrays(values: Values) -> None:
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            raise EngineError(f"the step before gave {type(value).__name__}, not an array", where=f"input {name!r}")


# Any: whatever a stage answered.
def _fits(spec: TensorSpec, value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == spec.dtype.numpy and spec.accepts(value.shape)


# Any: whatever a stage answered.
def _describe(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def _nobody(_: InferResponse | HeklaError) -> None:
    """A part of a request is not answered by itself."""
