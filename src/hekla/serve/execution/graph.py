"""Graphs of pipelines: a model whose steps are other models and stages."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hekla.base.errors import CancelledError, EngineError, HeklaError, InputError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Tensors, TensorSpec
from hekla.serve.config import GraphConfig, StepConfig
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.stage_pool import Release, StagePool

# Starts a request of another model inside this one: (model, tensors, the outer job, what to do with the answer).
# Returns how to cancel it.
Submit = Callable[[str, Tensors, Job, OnEnd], Callable[[], None]]


class _Step(Protocol):
    def __call__(self, values: Values, on_end: OnEnd) -> Callable[[], None]: ...


class Graph:
    """Runs each step as soon as the values it reads are there; steps that need nothing of one another overlap.

    A `for_each` step sends one request per element, all at once: the batcher of the step's model joins them.
    """

    def __init__(
        self,
        config: GraphConfig,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        stages: Mapping[str, StagePool],
        submit: Submit,
    ) -> None:
        self._config, self._stages, self._submit = config, stages, submit
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._named = {spec.name: spec for spec in self._inputs}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As declared in model.toml."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As declared in model.toml."""
        return self._outputs

    @property
    def is_ready(self) -> bool:
        """True: the models of the steps answer for themselves."""
        return True

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Begin the steps that need only the graph's inputs."""
        self._in_flight += 1
        self._idle.clear()

        def end(result: Values | HeklaError) -> None:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            on_end(result)

        _Run(self._config, self._named, values, job, self._start_step, end).advance()

    async def drain(self) -> None:
        """Wait until no request is in any step."""
        await self._idle.wait()

    def close(self) -> None:
        """Stop the stages' threads; the models of the steps have their own lives."""
        for pool in self._stages.values():
            pool.close()

    def _start_step(self, step: StepConfig, values: Values, job: Job, on_end: OnEnd) -> Callable[[], None]:
        if step.model is not None:
            return self._submit(step.model, values, job, on_end)

        def ended(result: Values | HeklaError, release: Release) -> None:
            release()
            on_end(result)

        # A graph has no sequences: each run of a stage starts with nothing.
        return self._stages[step.name].start(values, job, {}, ended)


class _Run:
    """One request on its way through the steps."""

    def __init__(
        self,
        config: GraphConfig,
        declared: Mapping[str, TensorSpec],
        inputs: Values,
        job: Job,
        start_step: Callable[[StepConfig, Values, Job, OnEnd], Callable[[], None]],
        on_end: OnEnd,
    ) -> None:
        self._config, self._job, self._start_step, self._on_end = config, job, start_step, on_end
        self._declared = declared  # the graph's inputs; the request may leave optional ones out
        self._known: dict[str, Any] = dict(inputs)  # "input" or "step.output" -> value
        self._todo = list(config.steps)
        self._done: set[str] = set()
        self._cancels: dict[object, Callable[[], None]] = {}
        self._over = False
        job.stop = self._stop

    def advance(self) -> None:
        """Start every step whose sources are known; end when none is left."""
        # Steps may end at once and advance from inside this loop: ask anew each time.
        while not self._over and (step := next(filter(self._is_ready, self._todo), None)) is not None:
            self._todo.remove(step)
            self._begin(step)
        if not self._over and not self._todo and len(self._done) == len(self._config.steps):
            try:
                answer = {name: self._value(source) for name, source in self._config.outputs.items()}
            except HeklaError as error:
                self._end(error)
            else:
                self._end(answer)

    def _is_ready(self, step: StepConfig) -> bool:
        return all(self._is_input(source) or source.split(".", 1)[0] in self._done for source in step.inputs.values())

    def _is_input(self, source: str) -> bool:
        return "." not in source or source in self._declared  # a graph's input may hold a dot itself

    def _is_left_out(self, source: str) -> bool:
        return source in self._declared and self._declared[source].optional and source not in self._known

    def _begin(self, step: StepConfig) -> None:
        try:
            values = {
                name: self._value(source)
                for name, source in step.inputs.items()
                if name == step.for_each or not self._is_left_out(source)
            }
            if step.for_each is None:
                self._call(step, values, lambda result: self._ended(step, result))
                return
            elements = _elements(values[step.for_each], step.name, step.inputs[step.for_each])
        except HeklaError as error:
            self._end(error)
            return
        if not elements:
            self._ended(step, {})
            return
        gathered: list[Values | None] = [None] * len(elements)
        missing = len(elements)

        def element_ended(index: int, result: Values | HeklaError) -> None:
            nonlocal missing
            if isinstance(result, HeklaError):
                self._end(result)
                return
            gathered[index] = result
            missing -= 1
            if not missing:
                try:
                    lists = _lists([part for part in gathered if part is not None], step.name)
                except HeklaError as error:
                    self._end(error)
                else:
                    self._ended(step, lists)

        for index, element in enumerate(elements):
            self._call(
                step,
                {**values, step.for_each: element},
                lambda result, index=index: element_ended(index, result),  # type: ignore[misc]  # mypy: default in lambda
            )
            if self._over:
                return

    def _call(self, step: StepConfig, values: Values, on_end: OnEnd) -> None:
        token = object()
        ended = False

        def forget(result: Values | HeklaError) -> None:
            nonlocal ended
            ended = True
            self._cancels.pop(token, None)
            if not self._over:
                on_end(result)

        cancel = self._start_step(step, values, self._job, forget)
        if not ended:
            self._cancels[token] = cancel

    def _ended(self, step: StepConfig, result: Values | HeklaError) -> None:
        if isinstance(result, HeklaError):
            self._end(result)
            return
        self._done.add(step.name)
        for name, value in result.items():
            self._known[f"{step.name}.{name}"] = value
        if not result and step.for_each is not None:
            self._known[f"{step.name}.*"] = []  # it ran for no element: every output is the empty list
        self.advance()

    # Any: whatever the graph's client or a step gave.
    def _value(self, source: str) -> Any:
        if source in self._known:
            return self._known[source]
        if self._is_input(source):
            raise InputError(f"input {source!r} is missing", where="$.inputs")
        step, _, _ = source.partition(".")
        if f"{step}.*" in self._known:
            return self._known[f"{step}.*"]
        raise EngineError(f"step {step!r} did not answer {source!r}", where="[graph]")

    def _stop(self) -> None:
        self._end(CancelledError("the caller went away"))

    def _end(self, result: Values | HeklaError) -> None:
        if self._over:
            return
        self._over = True
        for cancel in list(self._cancels.values()):
            cancel()
        self._cancels.clear()
        self._job.stop = None
        self._on_end(result)


# Any: a list from a stage, a tensor.
def _elements(value: Any, step: str, source: str) -> list[Any]:
    try:
        return list(value)
    except TypeError:
        raise EngineError(
            f"step {step!r} runs for each element of {source!r}, which has none", where="[graph]"
        ) from None


def _lists(parts: Sequence[Values], step: str) -> Values:
    if any(part.keys() != parts[0].keys() for part in parts):
        raise EngineError(f"step {step!r} did not answer the same names for each element", where="[graph]")
    return {name: [part[name] for part in parts] for name in parts[0]}
