"""Limits, counts and errors around whatever executes a model."""

import asyncio
import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faults.fault_models import Gate
from tests.model_folders import write_python_model
from tests.serve.execution.gates import Gate as StageGate
from tests.serve.hosts import TABLES, Asking, running_host, write_graph, write_times

from hekla.base.errors import DeadlineError, EngineError, HeklaError, InputError, OverloadedError
from hekla.protocols.stage import StageSource, Values
from hekla.protocols.tensor import Tensors, TensorSpec
from hekla.serve.model_host import ModelHost
from hekla.serve.request import InferRequest, InferResponse, SequenceStep

FAILING = "class Model:\n    def predict(self, inputs):\n        raise ValueError('a bug')\n"


class Stage:
    """A stage that does what a test says."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, gate: StageGate | None = None, answer: Values | None = None) -> None:
        self.gate, self.answer = gate, answer

    def __call__(self, source: StageSource) -> "Stage":
        return self

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: as the seam has it
        """Wait, then pass the values on or answer something else."""
        if self.gate is not None:
            self.gate.wait()
        return values if self.answer is None else self.answer


def _stats(host: ModelHost, model: str = "m") -> dict[str, Any]:  # Any: Triton's JSON
    return host.model_statistics(model)["model_stats"][0]["inference_stats"]  # type: ignore[no-any-return]  # JSON


def test_bad_requests_are_refused_before_anything_is_queued(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, "[batching]\nmax_batch = 8\n")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            f32 = np.zeros((1, 1), np.float32)
            cases: list[tuple[Tensors, str]] = [
                ({"z": f32}, "input 'x' is missing"),
                ({"x": f32, "z": f32}, "unknown input 'z'"),
                ({"x": f32.astype(np.float64)}, "expected datatype FP32, got FP64"),
                ({"x": np.zeros((1, 2), np.float32)}, "expected shape [-1, 1], got [1, 2]"),
                ({"x": np.zeros((9, 1), np.float32)}, "more than the largest batch"),
            ]
            for inputs, says in cases:
                error = await Asking(host, "m", inputs=inputs).error()
                assert isinstance(error, InputError)
                assert says in str(error)
            error = await Asking(host, "m", outputs=("y", "z")).error()
            assert "unknown output 'z'" in str(error)
            assert _stats(host)["fail"]["count"] == 6
            assert _stats(host)["compute_infer"]["count"] == 0

    asyncio.run(story())


def test_an_empty_batch_is_answered_with_an_empty_one(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, "[batching]\nmax_batch = 8\n")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            answer = await Asking(host, "m", np.zeros((0, 1), np.float32)).answer()
            assert isinstance(answer, InferResponse)
            assert answer.outputs["y"].shape == (0, 1)

    asyncio.run(story())


def test_a_fault_of_an_engine_is_logged_with_its_request_and_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_python_model(tmp_path, "m", FAILING, TABLES)
    trace = "0af7651916cd43dd8448eb211c80319c"

    async def story() -> None:
        async with running_host(tmp_path) as host:
            caplog.clear()
            asked = Asking(host, "m", request_id="r1", trace_parent=f"00-{trace}-b7ad6b7169203331-01")
            assert isinstance(await asked.error(), EngineError)
            assert isinstance(await Asking(host, "m", inputs={}).error(), InputError)

    asyncio.run(story())
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "a bug" in record.getMessage()
    told = {key: getattr(record, key) for key in ("model", "version", "request_id", "trace_id")}
    assert told == {"model": "m", "version": "1", "request_id": "r1", "trace_id": trace}


def test_a_request_stuck_in_a_stage_is_answered_when_its_time_is_over(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, '[pipeline]\npreprocess = "gated"\n')

    async def story() -> None:
        gate = StageGate()
        async with running_host(tmp_path, stages={"gated": Stage(gate)}) as host:
            stuck = Asking(host, "m", timeout_us=20_000)
            await gate.arrived.acquire()
            behind = Asking(host, "m", timeout_us=20_000)
            for one in (stuck, behind):
                error = await one.error()
                assert isinstance(error, DeadlineError)
                assert "20 ms" in str(error)
            served = host.repository.find("m")
            assert served.in_flight == 0
            gate.let()
            last = Asking(host, "m")
            await gate.arrived.acquire()
            gate.let()
            assert await last.y() == 2
            assert served.statistics.failures_by_reason == {"deadline": 2}
            assert served.statistics.executions == 1

    asyncio.run(story())


def test_a_deadline_reaches_into_the_steps_of_a_graph(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, '[pipeline]\npreprocess = "gated"\n')
    write_graph(tmp_path, "g", "m")

    async def story() -> None:
        gate = StageGate()
        async with running_host(tmp_path, stages={"gated": Stage(gate)}) as host:
            stuck = Asking(host, "g", timeout_us=20_000)
            assert isinstance(await stuck.error(), DeadlineError)
            await gate.arrived.acquire()
            gate.let()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "did not answer output 'y'"),
        ({"y": [1.0]}, "was answered as list"),
        ({"y": np.zeros((1, 1))}, "was answered as float64 [1, 1], not FP32 [-1, 1]"),
        ({"y": np.zeros(1, np.float32)}, "was answered as float32 [1]"),
    ],
)
def test_a_client_never_gets_from_a_stage_what_the_metadata_does_not_promise(
    tmp_path: Path, answer: Values, says: str
) -> None:
    write_times(tmp_path, "m", 2, '[pipeline]\npostprocess = "wrong"\n')

    async def story() -> None:
        async with running_host(tmp_path, stages={"wrong": Stage(answer=answer)}) as host:
            error = await Asking(host, "m").error()
            assert isinstance(error, EngineError)
            assert says in str(error)
            assert _stats(host)["success"]["count"] == 0
            assert _stats(host)["fail"]["count"] == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "toml",
    [
        '[queue]\ncapacity = 2\nmax_wait_ms = 0\n[pipeline]\npreprocess = "gated"\n',
        '[queue]\nmax_wait_ms = 0\n[pipeline.preprocess]\nstage = "gated"\nqueue = 1\n',
    ],
    ids=["at the door", "at the stage"],
)
def test_refusals_do_not_count_as_speed(tmp_path: Path, toml: str) -> None:
    write_times(tmp_path, "m", 2, toml)

    async def story() -> None:
        gate = StageGate()
        async with running_host(tmp_path, stages={"gated": Stage(gate)}) as host:
            taken = [Asking(host, "m"), Asking(host, "m")]
            refused = [await Asking(host, "m").error() for _ in range(100)]
            assert {type(error) for error in refused} == {OverloadedError}
            assert host.repository.find("m")._interval_s == 0.0, "nothing was answered yet"
            gate.let(2)
            for one in taken:
                await one.y()

    asyncio.run(story())


def test_a_door_that_raises_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_times(tmp_path, "m", 2, "[batching]\nmax_batch = 8\n")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            told: list[InferResponse | HeklaError] = []

            def done(answer: InferResponse | HeklaError) -> None:
                told.append(answer)
                if isinstance(answer, InferResponse):
                    raise TypeError("cannot be encoded")

            host.infer(InferRequest("m", {"x": np.zeros((1, 1), np.float32)}), done)
            assert await Asking(host, "m").y() == 2
            assert [type(answer) for answer in told] == [InferResponse, EngineError]

    asyncio.run(story())
    assert "could not be handed over" in caplog.text


def test_a_cancelled_request_is_counted_and_never_answered(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    repository = tmp_path / "repository"
    read = f"        with open({str(gate.path)!r}) as gate:\n            gate.read()\n"
    code = f"class Model:\n    def predict(self, inputs):\n{read}        return {{'y': inputs['x']}}\n"
    write_python_model(repository, "m", code, TABLES)

    async def story() -> None:
        async with running_host(repository) as host:
            asked = [Asking(host, "m"), Asking(host, "m")]
            await asyncio.to_thread(gate.wait_until_engine_is_here)
            for one in asked:
                one.ticket.cancel()
            gate.open()
            served = host.repository.find("m")
            await host.unload_model("m")
            assert [one.told for one in asked] == [[], []]
            assert (served.statistics.cancelled, served.statistics.executions) == (2, 1)

    asyncio.run(story())


def test_the_sequence_of_a_graphs_request_is_its_steps(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2, "[sequence]\nmax_sequences = 4\n")
    write_graph(tmp_path, "g", "m")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            assert await Asking(host, "g", sequence=SequenceStep(5, start=True)).y() == 2
            assert await Asking(host, "m", sequence=SequenceStep(5)).y() == 2, "it was started through the graph"
            assert isinstance(await Asking(host, "g").error(), InputError)

    asyncio.run(story())
