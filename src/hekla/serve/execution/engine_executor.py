"""An engine behind its batcher, with the states and controls of sequences added and taken off."""

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np

from hekla.base.errors import HeklaError, UnavailableError
from hekla.protocols.engine import Engine
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array, Tensors, TensorSpec
from hekla.serve.config import ModelConfig, SequenceConfig
from hekla.serve.execution.batcher import Batcher
from hekla.serve.execution.instance import Instance
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.validate import check_inputs
from hekla.serve.execution.work import Work
from hekla.serve.observe.statistics import ModelStatistics

# Seconds before a dead engine is loaded again, after the first, second, ... failure in a row to do so.
_RELOAD_DELAYS_S = (0.0, 0.2, 1.0, 5.0)


class EngineExecutor:
    """Runs jobs on the engines of one model version and keeps them alive: one that dies or hangs is loaded again.

    `trusted` says that what arrives was checked against the engine's inputs already (no stage came between).
    """

    def __init__(
        self,
        config: ModelConfig,
        engines: Sequence[Engine],
        load: Callable[[], Engine],
        statistics: ModelStatistics,
        *,
        trusted: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._name, self._load, self._trusted = config.name, load, trusted
        self._statistics, self._sequence = statistics, config.sequence or SequenceConfig()
        self._engine_inputs, self._engine_outputs = engines[0].inputs, engines[0].outputs
        self._state_outputs = {state.output: state.input for state in self._sequence.states}
        hidden = {state.input for state in self._sequence.states} | {c.input for c in self._sequence.controls}
        self._inputs = tuple(spec for spec in engines[0].inputs if spec.name not in hidden)
        self._outputs = tuple(spec for spec in engines[0].outputs if spec.name not in self._state_outputs)
        self._names = frozenset(spec.name for spec in self._inputs)
        self._dtypes = {spec.name: spec.dtype.numpy for spec in engines[0].inputs}
        self._layout = BatchLayout(engines[0].inputs, engines[0].outputs, config.batching, str(config.path))
        self._made = 0
        self._closed = False
        self._reloads: set[asyncio.Task[None]] = set()
        self._batcher = Batcher(
            config, self._layout, [self._instance(engine) for engine in engines], statistics, self._replace
        )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The engine's inputs, less those the server fills."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The engine's outputs, less those the server keeps."""
        return self._outputs

    @property
    def batcher(self) -> Batcher:
        """The queue, for those that must wait for room in it."""
        return self._batcher

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Queue the engine's part of the values; what else they carry is handed over untouched."""
        try:
            inputs: Tensors = values
            if not self._trusted:
                inputs = {name: values[name] for name in self._names if name in values}
                check_inputs(self._inputs, inputs)
            if job.tensors is not None:
                inputs = self._with_sequence(inputs, job)
            signature = job.request.signature
            if signature is not None and signature.layout_of is self._layout:
                rows, key, lengths = signature.layout
            else:
                rows, key, lengths = described = self._layout.describe(inputs)
                if signature is not None and self._trusted:
                    signature.layout_of, signature.layout = self._layout, described
            job.rows = rows

            def finished(work: Work, result: Tensors | HeklaError) -> None:
                job.stop = None
                self._account(work, job)
                if isinstance(result, HeklaError):
                    on_end(result)
                else:
                    on_end(self._handed_over(values, result, job))

            work = Work(
                inputs,
                self._wanted(job),
                rows,
                key,
                lengths,
                job.priority,
                time.monotonic(),
                job.deadline_s,
                finished,
            )
            self._batcher.submit(work, admitted=job.admitted)
        except HeklaError as error:
            on_end(error)
            return
        job.stop = lambda: self._batcher.cancel(work)

    async def drain(self) -> None:
        """Wait until the queue is empty and no engine runs."""
        await self._batcher.drain()

    def close(self) -> None:
        """Free the engines."""
        self._closed = True
        for instance in self._batcher.instances():
            instance.close()

    def _wanted(self, job: Job) -> tuple[str, ...]:
        if not job.outputs:
            return ()
        return (*job.outputs, *self._state_outputs) if self._state_outputs else job.outputs

    def _account(self, work: Work, job: Job) -> None:
        statistics = self._statistics
        started_s, ended_s = work.started_s, work.ended_s
        if ended_s:
            waited_s, computed_s = started_s - work.arrived_s, ended_s - started_s
            statistics.queue.add(waited_s)
            statistics.queue_s.observe(waited_s)
            statistics.compute_s.observe(computed_s)
            job.spans.append(("queue", work.arrived_s, started_s))
            job.spans.append(("infer", started_s, ended_s))

    def _handed_over(self, values: Values, outputs: Tensors, job: Job) -> Values:
        if job.tensors is not None and self._state_outputs:
            for output, state in self._state_outputs.items():
                # A copy: the state outlives the batch it is a view of.
                job.tensors[state] = np.ascontiguousarray(outputs[output]).copy()
            outputs = {name: array for name, array in outputs.items() if name not in self._state_outputs}
        if job.outputs and len(outputs) > len(job.outputs):
            outputs = {name: outputs[name] for name in job.outputs}
        if self._trusted:
            return outputs
        carried = {name: value for name, value in values.items() if name not in self._names}
        return {**carried, **outputs}

    def _with_sequence(self, inputs: Tensors, job: Job) -> Tensors:
        assert job.tensors is not None
        step = job.request.sequence
        added: dict[str, Array] = {}
        for state in self._sequence.states:
            kept = job.tensors.get(state.input)
            added[state.input] = np.zeros(state.shape, state.dtype.numpy) if kept is None else kept
        if step is not None:
            signals = {"start": step.start, "end": step.end, "ready": True, "correlation_id": step.id}
            for control in self._sequence.controls:
                added[control.input] = np.array([[signals[control.kind]]], self._dtypes[control.input])
        return {**inputs, **added}

    # Keeping engines alive

    def _instance(self, engine: Engine) -> Instance:
        self._made += 1
        return Instance(engine, f"hekla-{self._name}-{self._made}", self._loop)

    def _replace(self, dead: Instance) -> None:
        task = self._loop.create_task(self._reload(dead))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self, dead: Instance) -> None:
        """Load an engine in place of one that died; the works that wait are answered when there is no hope."""
        await self._loop.run_in_executor(None, dead.close)
        failure: HeklaError | None = None
        for delay_s in _RELOAD_DELAYS_S:
            await asyncio.sleep(delay_s)
            if self._closed:
                return
            try:
                engine = await self._loop.run_in_executor(None, self._load)
            except HeklaError as error:
                failure = error
                continue
            self._batcher.instance_ready(self._instance(engine))
            return
        if not self._batcher.instances():
            self._batcher.fail_waiting(
                UnavailableError(f"its engine died and could not be loaded again: {failure}", where=self._name)
            )
