"""Engines that die are loaded again; states and controls of sequences go in and out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.serve.execution.gates import Asked, Gate, GateEngine, until
from tests.serve.execution.scripted import X, Y, config_of

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, EngineError, HeklaError, InputError, ModelFileError, UnavailableError
from hekla.protocols.engine import Cancellation, Engine
from hekla.protocols.tensor import ANY, Tensors, TensorSpec
from hekla.serve.config import ControlConfig, QueueConfig, SequenceConfig, StateConfig
from hekla.serve.execution.engine_executor import EngineExecutor
from hekla.serve.execution.sequence import SequenceExecutor
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.request import SequenceStep

ROW = {"x": np.ones((1, 1), np.float32)}
DEAD = UnavailableError("died")


class Loader:
    """Gives the engines it holds, one a load; raises those that are errors."""

    def __init__(self, *results: Engine | BaseException) -> None:
        self.results = list(results)
        self.loads = 0

    def __call__(self) -> Engine:
        self.loads += 1
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result


def _executor(
    engines: Sequence[Engine], loader: Loader, delays_s: Sequence[float] = (0.0,), queue: QueueConfig | None = None
) -> EngineExecutor:
    config = config_of(queue=queue or QueueConfig(max_wait_ms=0))
    return EngineExecutor(config, engines, loader, ModelStatistics(), trusted=True, reload_delays_s=delays_s)


def test_a_dead_engine_is_closed_and_another_answers() -> None:
    async def story() -> None:
        dead = GateEngine(failures=[DEAD])
        executor = _executor([dead], Loader(GateEngine()))
        values = await Asked(executor, ROW).values()
        np.testing.assert_array_equal(values["y"], [[2]])
        assert dead.is_closed
        assert executor.is_ready
        executor.close()

    asyncio.run(story())


@pytest.mark.parametrize("failure", [ModelFileError("gone"), OSError("disk"), SystemExit(1)])
def test_loading_again_is_tried_more_than_once(failure: BaseException) -> None:
    async def story() -> None:
        loader = Loader(failure, GateEngine())
        executor = _executor([GateEngine(failures=[DEAD])], loader, (0.0, 0.0))
        await Asked(executor, ROW).values()
        assert loader.loads == 2
        executor.close()

    asyncio.run(story())


def test_when_no_engine_can_be_loaded_waiting_requests_are_told_and_a_later_one_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        loader = Loader(ModelFileError("gone"), ModelFileError("still gone"), GateEngine())
        executor = _executor([GateEngine(failures=[DEAD])], loader, (0.0, 0.0))
        waiting = [Asked(executor, ROW) for _ in range(3)]
        for one in waiting:
            assert "could not be loaded again: still gone" in str(await one.error())
        assert not executor.is_ready
        await executor.drain()
        await Asked(executor, ROW).values()  # and this one's try succeeds
        assert loader.loads == 3
        executor.close()

    asyncio.run(story())
    assert "could not be loaded again" in caplog.text


def test_tries_to_load_again_are_not_made_more_often_than_they_may() -> None:
    async def story() -> None:
        loader = Loader(ModelFileError("gone"), GateEngine())
        executor = _executor([GateEngine(failures=[DEAD])], loader)
        assert isinstance(await Asked(executor, ROW).error(), UnavailableError)
        executor._next_try_s += 3600
        refused = Asked(executor, ROW)
        assert "could not be loaded again: gone" in str(await refused.error())
        assert loader.loads == 1
        executor._next_try_s -= 3600
        await Asked(executor, ROW).values()
        executor.close()

    asyncio.run(story())


def test_two_engines_that_die_together_leave_nobody_waiting() -> None:
    async def story() -> None:
        gate = Gate()
        engines = [GateEngine(gate, [DEAD]), GateEngine(gate, [DEAD])]
        loader = Loader(ModelFileError("gone"), ModelFileError("gone"))
        executor = _executor(engines, loader)
        asked = [Asked(executor, ROW) for _ in range(4)]
        await gate.arrived.acquire()
        await gate.arrived.acquire()
        gate.let(2)
        for one in asked:
            assert isinstance(await one.error(), UnavailableError)
        await executor.drain()
        executor.close()

    asyncio.run(story())


def test_an_engine_that_is_loaded_after_the_model_was_closed_is_closed_too() -> None:
    async def story() -> None:
        gate, late = Gate(), GateEngine()

        class Slow(Loader):
            def __call__(self) -> Engine:
                gate.wait()
                return super().__call__()

        executor = _executor([GateEngine(failures=[DEAD])], Slow(late))
        asked = Asked(executor, ROW)
        await gate.arrived.acquire()
        executor.close()
        gate.let()
        await until(lambda: late.is_closed)
        assert not asked.ends

    asyncio.run(story())


def test_a_hung_engine_is_replaced() -> None:
    async def story() -> None:
        gate = Gate()
        hung = GateEngine(gate)
        executor = _executor([hung], Loader(GateEngine()), queue=QueueConfig(run_timeout_ms=20, max_wait_ms=0))
        assert "did not answer within 20 ms" in str(await Asked(executor, ROW).error())
        await Asked(executor, ROW).values()
        assert not hung.is_closed, "its thread is still inside"
        gate.let()
        await until(lambda: hung.is_closed)
        executor.close()

    asyncio.run(story())


def test_an_engine_that_cannot_be_closed_is_replaced_all_the_same() -> None:
    class Stubborn(GateEngine):
        def close(self) -> None:
            raise EngineError("no")

    async def story() -> None:
        executor = _executor([Stubborn(failures=[DEAD])], Loader(Stubborn()))
        await Asked(executor, ROW).values()
        executor.close()

    asyncio.run(story())


# Sequences

SUM = TensorSpec("sum", DType.FP32, (ANY, 1), 0)
SUM_OUT = TensorSpec("sum_out", DType.FP32, (ANY, 1), 0)
START, ID = TensorSpec("START", DType.INT32, (ANY, 1), 0), TensorSpec("ID", DType.INT32, (ANY, 1), 0)
ID_TEXT = TensorSpec("ID", DType.BYTES, (ANY, 1), 0)
STATE = StateConfig("sum", "sum_out", DType.FP32, (1, 1))
CONTROLS = (ControlConfig("START", "start"), ControlConfig("ID", "correlation_id"))


class SummingEngine:
    """y and sum_out = sum + x; remembers what else it was told."""

    may_block = True

    def __init__(self, id_spec: TensorSpec = ID) -> None:
        self.inputs, self.outputs = (X, SUM, START, id_spec), (Y, SUM_OUT)
        self.told: list[tuple[object, object]] = []
        self.forgets = False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        """Add."""
        self.told.append((inputs["START"].item(), inputs["ID"].item()))
        total = inputs["sum"] + inputs["x"]
        return {"y": total} if self.forgets else {"y": total, "sum_out": total}

    def close(self) -> None:
        """Nothing to free."""


def _sequence(engine: Engine, sequence: SequenceConfig | None = None) -> SequenceExecutor:
    sequence = sequence or SequenceConfig(states=(STATE,), controls=CONTROLS)
    config = replace(config_of(), sequence=sequence)
    inner = EngineExecutor(config, [engine], lambda: engine, ModelStatistics(), trusted=True)
    return SequenceExecutor(inner, sequence, "m")


def test_an_engines_state_comes_back_and_neither_it_nor_the_controls_are_seen_by_clients() -> None:
    async def story() -> None:
        engine = SummingEngine()
        executor = _sequence(engine)
        assert [spec.name for spec in (*executor.inputs, *executor.outputs)] == ["x", "y"]
        answers = []
        for step in (SequenceStep(7, start=True), SequenceStep(7), SequenceStep(7, end=True)):
            answers.append(await Asked(executor, ROW, step).values())
        assert [(list(a), a["y"].item()) for a in answers] == [(["y"], 1), (["y"], 2), (["y"], 3)]
        assert engine.told == [(1, 7), (0, 7), (0, 7)]
        executor.close()

    asyncio.run(story())


@pytest.mark.parametrize("id", ["speaker", 2**40])
def test_an_id_the_engine_cannot_hold_is_the_clients_error(id: int | str) -> None:
    async def story() -> None:
        executor = _sequence(SummingEngine())
        error = await Asked(executor, ROW, SequenceStep(id, start=True)).error()
        assert (type(error), error.where) == (InputError, "$.parameters.sequence_id")
        executor.close()

    asyncio.run(story())


def test_a_text_id_reaches_an_engine_that_takes_bytes() -> None:
    async def story() -> None:
        engine = SummingEngine(ID_TEXT)
        executor = _sequence(engine)
        await Asked(executor, ROW, SequenceStep("speaker", start=True)).values()
        assert engine.told == [(1, b"speaker")]
        executor.close()

    asyncio.run(story())


def test_an_engine_that_forgets_the_state_is_told_of() -> None:
    async def story() -> None:
        engine = SummingEngine()
        engine.forgets = True
        executor = _sequence(engine)
        assert "state 'sum_out'" in str(await Asked(executor, ROW, SequenceStep(1, start=True)).error())
        executor.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("sequence", "says"),
    [
        (SequenceConfig(states=(replace(STATE, input="sun"),)), r"states\[0\]: 'sun' is no input.* 'sum'"),
        (SequenceConfig(states=(replace(STATE, output="sum"),)), r"'sum' is no output .* 'sum_out'"),
        (SequenceConfig(states=(replace(STATE, dtype=DType.INT64),)), r"is INT64 \[1, 1\], but the engine's 'sum'"),
        (SequenceConfig(states=(replace(STATE, shape=(1, 2)),)), r"is FP32 \[1, 2\], but"),
        (SequenceConfig(controls=(ControlConfig("BEGIN", "start"),)), r"controls\[0\]: 'BEGIN' is no input"),
    ],
)
def test_states_and_controls_the_engine_has_no_tensors_for_are_refused_when_the_model_loads(
    sequence: SequenceConfig, says: str
) -> None:
    async def story() -> None:
        with pytest.raises(ConfigError, match=says):
            _sequence(SummingEngine(), sequence)

    asyncio.run(story())


def test_an_error_of_the_engine_is_its_requests() -> None:
    async def story() -> None:
        failure: HeklaError = EngineError("overflow", where="layer 3")
        executor = _executor([GateEngine(failures=[failure])], Loader())
        assert await Asked(executor, ROW).error() is failure
        await Asked(executor, ROW).values()
        executor.close()

    asyncio.run(story())
