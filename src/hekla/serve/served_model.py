"""One version of a model, ready to answer: checks, limits and counts around whatever executes it."""

import asyncio
import time
from collections.abc import Callable

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
from hekla.serve.config import ModelConfig
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.validate import check_inputs, check_outputs
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.request import Done, InferRequest, InferResponse

# Called when a request has ended: the job, its answer or error, and its total seconds.
OnAnswered = Callable[[Job, InferResponse | HeklaError, float], None]

_SMOOTHING = 0.2  # weight of the newest completion in the measured rate


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
        self._interval_s = 0.0  # between two answers while there was work: the measured rate
        self._last_answer_s = self._busy_since_s = 0.0
        # An engine's own queue is bounded and knows its rate; what runs through stages or steps is bounded here.
        self._bound_here = config.graph is not None or config.pipeline.preprocess is not None

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
        self._begin(now)
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
            self._loop.call_soon(self._end, job, error)
            return job
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
        request = InferRequest(self.name, inputs, received_s=time.monotonic(), trace_parent=outer.request.trace_parent)
        job = self._job(request, lambda _: None, admitted=True)
        job.priority, job.deadline_s = outer.priority, outer.deadline_s
        self._begin(request.received_s)

        def end(result: Values | HeklaError) -> None:
            self._count(job, result)
            on_end(result)

        try:
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
        """Wait until every request taken is answered."""
        await self.executor.drain()

    def _begin(self, now: float) -> None:
        if not self.in_flight:
            self._busy_since_s = now
        self.in_flight += 1

    def _job(self, request: InferRequest, done: Done, *, admitted: bool) -> Job:
        timeout_s = request.timeout_us / 1e6 or self._default_timeout_s
        deadline_s = request.received_s + timeout_s if timeout_s else None
        return Job(request, done, request.priority or self._default_priority, deadline_s, admitted)

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
        if self._bound_here:
            self._admit_by_rate()

    def _admit_by_rate(self) -> None:
        queue = self.config.queue
        wait_s = (self.in_flight - 1) * self._interval_s
        if self.in_flight > queue.capacity or (queue.max_wait_ms and wait_s * 1e3 > queue.max_wait_ms):
            raise OverloadedError(
                f"{self.in_flight - 1} requests are being worked on, {wait_s:.1f} s of work",
                retry_after_s=max(wait_s - queue.max_wait_ms / 1e3, self._interval_s),
                where=f"model {self.name!r}",
                cure="retry after the time stated",
            )

    def _end(self, job: Job, result: Values | HeklaError) -> None:
        total_s = self._count(job, result)
        answer: InferResponse | HeklaError
        if isinstance(result, HeklaError):
            answer = result
        else:
            request = job.request
            try:
                wanted = request.outputs
                if not wanted:
                    outputs = result if result.keys() == self._output_set else self._public(result)
                else:
                    outputs = {name: result[name] for name in wanted}
                answer = InferResponse(self.config.name, self._version_text, outputs, request.id)
            except KeyError as missing:
                answer = EngineError(f"did not answer output {missing}", where=f"model {self.name!r}")
        if self._on_answered is not None:
            self._on_answered(job, answer, total_s)
        if not job.cancelled:
            job.done(answer)

    def _public(self, result: Values) -> Tensors:
        return {spec.name: result[spec.name] for spec in self.outputs}

    def _count(self, job: Job, result: Values | HeklaError) -> float:
        now = time.monotonic()
        total_s = now - job.request.received_s
        # The rate while there is work: what came before the work did not count.
        interval_s = now - max(self._last_answer_s, self._busy_since_s)
        self._interval_s += (_SMOOTHING if self._interval_s else 1.0) * (interval_s - self._interval_s)
        self._last_answer_s = now
        self.in_flight -= 1
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
