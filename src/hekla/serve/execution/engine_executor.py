"""An engine behind its batcher, with the states and controls of sequences added and taken off."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, EngineError, HeklaError, InputError, UnavailableError, nearest_name
from hekla.protocols.engine import Engine
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array, Tensors, TensorSpec
from hekla.serve.config import ControlConfig, ModelConfig, SequenceConfig
from hekla.serve.execution.aside import run_aside
from hekla.serve.execution.batcher import Batcher
from hekla.serve.execution.instance import Instance
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.validate import check_inputs
from hekla.serve.execution.work import Work
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.request import SequenceStep

# Seconds before a dead engine is loaded again: at first, and after the first, second, ... failure in a row to do so.
# When the last one failed, a request that comes so much later makes the next try.
RELOAD_DELAYS_S = (0.0, 0.2, 1.0, 5.0)

_log = logging.getLogger(__name__)


class EngineExecutor:
    """Runs jobs on the engines of one model version and keeps them alive: one that dies or hangs is loaded again.

    `trusted` says that what arrives was checked against the engine's inputs already (no stage came between).
    Errors of the constructor: ConfigError where the configuration does not fit what the engine says of itself.
    """

    def __init__(
        self,
        config: ModelConfig,
        engines: Sequence[Engine],
        load: Callable[[], Engine],
        statistics: ModelStatistics,
        *,
        trusted: bool,
        reload_delays_s: Sequence[float] = RELOAD_DELAYS_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._name, self._load, self._trusted = config.name, load, trusted
        self._statistics, self._sequence = statistics, config.sequence or SequenceConfig()
        self._reload_delays_s = reload_delays_s
        _check_sequence(self._sequence, engines[0], f"{config.path}: [sequence]")
        self._state_outputs = {state.output: state.input for state in self._sequence.states}
        hidden = {state.input for state in self._sequence.states} | {c.input for c in self._sequence.controls}
        self._inputs = tuple(spec for spec in engines[0].inputs if spec.name not in hidden)
        self._outputs = tuple(spec for spec in engines[0].outputs if spec.name not in self._state_outputs)
        self._names = frozenset(spec.name for spec in self._inputs)
        self._dtypes = {spec.name: spec.dtype for spec in engines[0].inputs}
        self._layout = BatchLayout(engines[0].inputs, engines[0].outputs, config.batching, str(config.path))
        self._made = 0
        self._closed = threading.Event()  # set off the loop, where engines are closed
        self._reloads: set[asyncio.Task[None]] = set()
        self._reloading = 0  # engines that are being loaded again
        self._given_up = 0  # engines that died and could not be loaded again
        self._last_failure: HeklaError | None = None
        self._next_try_s = 0.0
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

    @property
    def is_uniform(self) -> bool:
        """True where requests are joined along the first axis and their rows all have one shape."""
        axes = {spec.batch_axis for spec in (*self._inputs, *self._outputs)}
        return self._trusted and self._layout.enabled and self._layout.one_shape and axes == {0}

    @property
    def is_ready(self) -> bool:
        """True while an engine is in service."""
        return bool(self._batcher.instances())

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Queue the engine's part of the values; what else they carry is handed over untouched."""
        try:
            if self._given_up:
                self._try_again()
            inputs: Tensors = values
            if not self._trusted:
                inputs = self._picked(values)
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
                on_end(result if isinstance(result, HeklaError) else self._handed_over(values, result, job))

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
        except Exception as error:  # noqa: BLE001 - logged with its trace; the request is answered
            _log.exception("a request of model %s could not be queued", self._name)
            on_end(EngineError(f"{type(error).__name__}: {error}", where=f"model {self._name!r}"))
            return
        job.stop = lambda: self._batcher.cancel(work)

    async def drain(self) -> None:
        """Wait until the queue is empty and no engine runs."""
        await self._batcher.drain()

    def close(self) -> None:
        """Free the engines."""
        self._closed.set()
        for instance in self._batcher.instances():
            instance.close()

    def _picked(self, values: Values) -> Tensors:
        inputs = {name: values[name] for name in self._names if name in values}
        for name, value in inputs.items():
            if not isinstance(value, np.ndarray):
                raise EngineError(
                    f"the stage before the engine gave {type(value).__name__}, not an array", where=f"input {name!r}"
                )
        check_inputs(self._inputs, inputs)
        return inputs

    def _wanted(self, job: Job) -> tuple[str, ...]:
        if not job.outputs:
            return ()
        return (*job.outputs, *self._state_outputs) if self._state_outputs else job.outputs

    def _account(self, work: Work, job: Job) -> None:
        statistics = self._statistics
        started_s, ended_s = work.started_s, work.ended_s
        if ended_s:
            waited_s, computed_s = started_s - work.arrived_s, ended_s - started_s
            statistics.queue_s.observe(waited_s)
            statistics.compute_s.observe(computed_s)
            if job.spans is not None:
                job.spans.append(("queue", work.arrived_s, started_s))
                job.spans.append(("infer", started_s, ended_s))

    def _handed_over(self, values: Values, outputs: Tensors, job: Job) -> Values | HeklaError:
        if job.tensors is not None and self._state_outputs:
            for output, state in self._state_outputs.items():
                if output not in outputs:
                    return EngineError("the engine did not answer it", where=f"state {output!r}")
                # A copy: the state outlives the batch it is a view of.
                job.tensors[state] = outputs[output].copy(order="C")
                self._statistics.bytes_copied["state"] += outputs[output].nbytes
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
            for control in self._sequence.controls:
                added[control.input] = _signal(control, step, self._dtypes[control.input])
        return {**inputs, **added}

    # Keeping engines alive

    def _instance(self, engine: Engine) -> Instance:
        self._made += 1
        return Instance(engine, f"hekla-{self._name}-{self._made}", self._loop)

    def _replace(self, dead: Instance) -> None:
        _log.warning(
            "an engine of model %s %s and is loaded again",
            self._name,
            "hung" if dead.lost else "died",
            extra={"model": self._name},
        )
        self._spawn(self._close_and_reload(dead))

    def _try_again(self) -> None:
        """Load engines that were given up once more. Errors: UnavailableError if it is too early and none is left."""
        now = time.monotonic()
        if now >= self._next_try_s:
            wanted, self._given_up = self._given_up, 0
            for _ in range(wanted):
                self._spawn(self._reload(self._reload_delays_s[:1]))
        elif not self._batcher.instances() and not self._reloading:
            raise self._gone()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._reloading += 1
        task = self._loop.create_task(work)
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _close_and_reload(self, dead: Instance) -> None:
        await run_aside(dead.close)
        await self._reload(self._reload_delays_s)

    async def _reload(self, delays_s: Sequence[float]) -> None:
        """Load an engine in place of one that died; the works that wait are answered when there is no hope."""
        engine = await self._loaded(delays_s)
        self._reloading -= 1
        if self._closed.is_set():
            if engine is not None:
                await run_aside(engine.close)
        elif engine is not None:
            self._batcher.instance_ready(self._instance(engine))
        else:
            _log.error(
                "an engine of model %s could not be loaded again: %s",
                self._name,
                self._last_failure,
                extra={"model": self._name},
            )
            self._given_up += 1
            self._next_try_s = time.monotonic() + self._reload_delays_s[-1]
            if not self._batcher.instances() and not self._reloading:
                self._batcher.fail_waiting(self._gone())

    async def _loaded(self, delays_s: Sequence[float]) -> Engine | None:
        for delay_s in delays_s:
            await asyncio.sleep(delay_s)
            if self._closed.is_set():
                return None
            try:
                return await run_aside(self._load)
            except HeklaError as error:
                self._last_failure = error
            except Exception as error:  # noqa: BLE001 - a plug-in's code
                self._last_failure = EngineError(f"{type(error).__name__}: {error}")
        return None

    def _gone(self) -> UnavailableError:
        return UnavailableError(
            f"its engine died and could not be loaded again: {self._last_failure}",
            where=self._name,
            cure="it is tried again from time to time; load the model again to try at once",
        )


def _check_sequence(sequence: SequenceConfig, engine: Engine, where: str) -> None:
    """Refuse states and controls that the engine has no tensors for. Errors: ConfigError."""
    inputs = {spec.name: spec for spec in engine.inputs}
    outputs = {spec.name: spec for spec in engine.outputs}

    def known(name: str, specs: Mapping[str, TensorSpec], place: str, kind: str) -> TensorSpec:
        if name not in specs:
            raise ConfigError(f"{name!r} is no {kind} of the engine", where=place, cure=nearest_name(name, specs))
        return specs[name]

    for index, state in enumerate(sequence.states):
        place = f"{where}.states[{index}]"
        pair = known(state.input, inputs, place, "input"), known(state.output, outputs, place, "output")
        for spec in pair:
            if spec.dtype is not state.dtype or not spec.accepts(state.shape):
                raise ConfigError(
                    f"is {state.dtype.value} {list(state.shape)}, but the engine's {spec.name!r} is "
                    f"{spec.dtype.value} {list(spec.shape)}",
                    where=place,
                )
    for index, control in enumerate(sequence.controls):
        known(control.input, inputs, f"{where}.controls[{index}]", "input")


def _signal(control: ControlConfig, step: SequenceStep, dtype: DType) -> Array:
    """Return what a control tells the engine, shape (1, 1). Errors: InputError for an id its tensor cannot hold."""
    if control.kind != "correlation_id":
        return np.array([[{"start": step.start, "end": step.end, "ready": True}[control.kind]]], dtype.numpy)
    if dtype is DType.BYTES:
        return np.array([[str(step.id).encode()]], np.object_)
    try:
        return np.array([[step.id]], dtype.numpy)
    except (ValueError, OverflowError):
        raise InputError(
            f"{step.id!r} does not fit the model's input {control.input!r}, {dtype.value}",
            where="$.parameters.sequence_id",
        ) from None
