"""Stages joined by bounded queues: nothing piles up, nothing is lost."""

import asyncio
import time

import numpy as np
import pytest
from tests.serve.execution.gates import Asked, Gate, GateEngine, GateStage, until
from tests.serve.execution.scripted import config_of

from hekla.base.errors import (
    CancelledError,
    DeadlineError,
    EngineError,
    HeklaError,
    InputError,
    OverloadedError,
)
from hekla.protocols.engine import Engine
from hekla.protocols.stage import Values
from hekla.serve.config import BatchingConfig, QueueConfig, StageConfig
from hekla.serve.execution.engine_executor import EngineExecutor
from hekla.serve.execution.job import Job
from hekla.serve.execution.pipeline import Pipeline
from hekla.serve.execution.stage_pool import Release, StagePool
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.request import InferRequest

ROW = {"x": np.ones((1, 1), np.float32), "scale": 3}


def _pool(stage: GateStage, concurrency: int = 1, queue: int = 2) -> StagePool:
    return StagePool(stage.name, stage, StageConfig(stage.name, concurrency, queue), ModelStatistics())


def _engine(engine: Engine, capacity: int = 2, max_batch: int = 1) -> EngineExecutor:
    config = config_of(BatchingConfig(max_batch=max_batch), QueueConfig(capacity=capacity, max_wait_ms=0))
    return EngineExecutor(config, [engine], lambda: engine, ModelStatistics(), trusted=False)


def _job() -> Job:
    return Job(InferRequest("m", {}), lambda _: None, 1, None, admitted=False)


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_values_pass_every_stage_in_order_and_what_the_engine_does_not_take_is_carried_past_it() -> None:
    async def story() -> None:
        before = [_pool(GateStage("load")), _pool(GateStage("preprocess"))]
        pipeline = Pipeline(before, _engine(GateEngine()), _pool(GateStage("postprocess")))
        asked = Asked(pipeline, ROW)
        values = await asked.values()
        assert values["path"] == ("load", "preprocess", "postprocess")
        assert values["scale"] == 3
        np.testing.assert_array_equal(values["y"], [[2]])
        assert "x" not in values
        assert [span[0] for span in asked.job.spans or ()] == ["load", "preprocess", "queue", "infer", "postprocess"]
        await pipeline.drain()
        pipeline.close()

    asyncio.run(story())


def test_a_stage_runs_no_more_than_its_concurrency_and_queues_no_more_than_its_queue() -> None:
    async def story() -> None:
        gate = Gate()
        pool = _pool(GateStage("slow", gate), concurrency=2, queue=3)
        ended: list[Values | HeklaError] = []

        def end(result: Values | HeklaError, release: Release) -> None:
            ended.append(result)
            release()

        for _ in range(5):
            pool.admit()
            pool.start({}, _job(), {}, end)
        await gate.arrived.acquire()
        await gate.arrived.acquire()
        assert (gate.inside, pool.running, pool.waiting) == (2, 2, 3)
        with pytest.raises(OverloadedError, match="stage 'slow' has 3 requests waiting"):
            pool.admit()
        gate.let(5)
        for _ in range(3):
            await gate.arrived.acquire()
        await until(lambda: len(ended) == 5)
        assert (pool.running, pool.waiting) == (0, 0)
        pool.close()

    asyncio.run(story())


def test_a_slow_engine_holds_the_stages_up_back_to_the_door() -> None:
    async def story() -> None:
        gate = Gate()
        stage = GateStage("preprocess")
        pool, engine = _pool(stage, concurrency=1, queue=2), _engine(GateEngine(gate), capacity=1)
        pipeline = Pipeline([pool], engine, None)
        asked = [Asked(pipeline, ROW)]
        await gate.arrived.acquire()  # one computes
        asked += [Asked(pipeline, ROW)]
        await until(lambda: stage.runs == 2)
        await until(lambda: engine.batcher._waiting.count == 1)  # one waits for the engine
        asked += [Asked(pipeline, ROW)]
        await until(lambda: stage.runs == 3)  # one holds the stage's slot
        asked += [Asked(pipeline, ROW), Asked(pipeline, ROW)]  # two wait for the stage
        await _turns()
        assert (stage.runs, pool.running, pool.waiting) == (3, 1, 2)
        refused = await Asked(pipeline, ROW).error()
        assert isinstance(refused, OverloadedError)
        gate.let(5)
        for one in asked:
            await one.values()
        await pipeline.drain()
        assert stage.runs == 5
        pipeline.close()

    asyncio.run(story())


def test_a_job_cancelled_while_the_engines_queue_is_full_is_never_computed() -> None:
    async def story() -> None:
        gate, computing = Gate(), GateStage("preprocess")
        engine = GateEngine(gate)
        executor = _engine(engine, capacity=1)
        pool = _pool(computing)
        pipeline = Pipeline([pool], executor, None)
        first = Asked(pipeline, ROW)
        await gate.arrived.acquire()
        second, third = Asked(pipeline, ROW), Asked(pipeline, ROW)
        await until(lambda: computing.runs == 3)
        await until(lambda: bool(executor.batcher._for_room))  # the third is held up before the engine's queue
        third.job.cancel()
        gate.let(2)
        await first.values()
        await second.values()
        assert isinstance(await third.error(), CancelledError)
        await pipeline.drain()
        assert (engine.runs, pool.running) == (2, 0)
        pipeline.close()

    asyncio.run(story())


def test_a_job_cancelled_in_a_stages_queue_leaves_it_at_once() -> None:
    async def story() -> None:
        gate = Gate()
        stage = GateStage("preprocess", gate)
        pool = _pool(stage, queue=2000)
        pipeline = Pipeline([pool], _engine(GateEngine()), None)
        first = Asked(pipeline, ROW)
        await gate.arrived.acquire()
        others = [Asked(pipeline, ROW) for _ in range(1500)]  # deep enough to break a recursion
        for one in others:
            one.job.cancel()
        assert pool.waiting == 0
        assert {type(await one.error()) for one in others} == {CancelledError}
        gate.let()
        await first.values()
        assert stage.runs == 1
        pipeline.close()

    asyncio.run(story())


def test_thousands_of_jobs_too_late_for_their_stage_are_let_go_without_running_it() -> None:
    async def story() -> None:
        gate = Gate()
        stage = GateStage("preprocess", gate)
        pool = _pool(stage, queue=3000)
        pipeline = Pipeline([pool], _engine(GateEngine()), None)
        first = Asked(pipeline, ROW)
        await gate.arrived.acquire()
        late = [Asked(pipeline, ROW, deadline_s=time.monotonic()) for _ in range(2000)]
        gate.let()
        await first.values()
        assert {type(await one.error()) for one in late} == {DeadlineError}
        assert stage.runs == 1
        pipeline.close()

    asyncio.run(story())


def test_a_stage_that_raises_fails_its_request_alone() -> None:
    async def story() -> None:
        expected: list[tuple[BaseException, type[HeklaError], str]] = [
            (ValueError("a bug"), EngineError, "stage 'load': ValueError: a bug"),
            (InputError("no picture", where="input 'image'"), InputError, "input 'image': no picture"),
            (SystemExit(3), EngineError, "SystemExit: 3"),
        ]
        for raised, kind, says in expected:
            stage = GateStage("load", raises=raised)
            pool = _pool(stage)
            pipeline = Pipeline([pool], _engine(GateEngine()), None)
            error = await Asked(pipeline, ROW).error()
            assert isinstance(error, kind)
            assert says in str(error)
            stage.raises = None
            await Asked(pipeline, ROW).values()
            assert pool.running == 0
            pipeline.close()

    asyncio.run(story())


def test_a_pipeline_with_nothing_before_its_engine_is_bounded_by_the_engines_queue() -> None:
    async def story() -> None:
        gate = Gate()
        pipeline = Pipeline([], _engine(GateEngine(gate), capacity=1), _pool(GateStage("postprocess")))
        asked = [Asked(pipeline, ROW)]
        await gate.arrived.acquire()
        asked.append(Asked(pipeline, ROW))
        assert isinstance(await Asked(pipeline, ROW).error(), OverloadedError)
        gate.let(2)
        for one in asked:
            await one.values()
        pipeline.close()

    asyncio.run(story())


def test_what_a_stage_gives_the_engine_is_checked() -> None:
    async def story() -> None:
        pipeline = Pipeline([_pool(GateStage("load"))], _engine(GateEngine()), None)
        error = await Asked(pipeline, {"x": [1.0]}).error()
        assert isinstance(error, EngineError)
        assert "gave list, not an array" in str(error)
        pipeline.close()

    asyncio.run(story())
