"""The four stages of a model: load, preprocess, infer, postprocess, joined by bounded queues."""

import asyncio
from collections.abc import Callable, Sequence

from hekla.base.errors import HeklaError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import TensorSpec
from hekla.serve.execution.engine_executor import EngineExecutor
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.stage_pool import OnStageEnd, Release, StagePool


class Pipeline:
    """Stages before and after an engine. A full queue anywhere holds the stage before it up, back to the door."""

    def __init__(self, before: Sequence[StagePool], engine: EngineExecutor, after: StagePool | None) -> None:
        self._before, self._engine, self._after = tuple(before), engine, after
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the first stage that says so reads, else what the engine reads."""
        declared = [pool.stage.inputs for pool in self._before if pool.stage.inputs]
        return declared[0] if declared else self._engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the postprocess stage answers, else what the engine answers."""
        declared = self._after.stage.outputs if self._after is not None else ()
        return declared or self._engine.outputs

    @property
    def is_ready(self) -> bool:
        """As the engine."""
        return self._engine.is_ready

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Run the stages one after another."""
        if self._before and not job.admitted:
            try:
                self._before[0].admit()
            except HeklaError as error:
                on_end(error)
                return
            job.admitted = True  # to the stages behind it, too
        self._in_flight += 1
        self._idle.clear()
        if self._after is not None:
            job.outputs = ()  # the postprocess stage reads whatever it wants

        def end(result: Values | HeklaError) -> None:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            on_end(result)

        self._run_before(0, values, job, end)

    async def drain(self) -> None:
        """Wait until no request is in any stage."""
        await self._idle.wait()

    def close(self) -> None:
        """Free the engine and the stages' threads."""
        self._engine.close()
        for pool in (*self._before, *([self._after] if self._after is not None else [])):
            pool.close()

    def _run_before(self, index: int, values: Values, job: Job, on_end: OnEnd) -> None:
        if index == len(self._before):
            self._run_engine(values, job, on_end)
            return

        def ended(result: Values | HeklaError, release: Release) -> None:
            job.stop = None
            if isinstance(result, HeklaError):
                release()
                on_end(result)
                return

            def proceed() -> None:
                release()
                self._run_before(index + 1, result, job, on_end)

            self._room_after(index)(proceed)

        _start(self._before[index], values, job, ended)

    def _room_after(self, index: int) -> Callable[[Callable[[], None]], None]:
        if index + 1 < len(self._before):
            return self._before[index + 1].when_room
        return self._engine.batcher.when_room

    def _run_engine(self, values: Values, job: Job, on_end: OnEnd) -> None:
        refusal = job.refusal()  # it may have been held up for long
        if refusal is not None:
            on_end(refusal)
            return
        after = self._after
        if after is None:
            self._engine.start(values, job, on_end)
            return

        def inferred(result: Values | HeklaError) -> None:
            if isinstance(result, HeklaError):
                on_end(result)
            else:
                after.when_room(lambda: _start(after, result, job, ended))

        def ended(result: Values | HeklaError, release: Release) -> None:
            job.stop = None
            release()
            on_end(result)

        self._engine.start(values, job, inferred)


def _start(pool: StagePool, values: Values, job: Job, on_end: OnStageEnd) -> None:
    """Start a stage that a cancelled job leaves the queue of."""
    has_ended = False

    def ended(result: Values | HeklaError, release: Release) -> None:
        nonlocal has_ended
        has_ended = True
        on_end(result, release)

    leave = pool.start(values, job, job.state, ended)
    if not has_ended:
        job.stop = leave
