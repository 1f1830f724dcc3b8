"""Requests of one sequence run in order and share state; failures leave no trace."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.serve.execution.gates import Asked
from tests.serve.execution.virtual_time import VirtualTimeLoop, run_virtually, settle

from hekla.base.errors import CancelledError, EngineError, HeklaError, InputError, OverloadedError
from hekla.protocols.stage import Values
from hekla.serve.config import SequenceConfig
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.execution.sequence import SequenceExecutor
from hekla.serve.request import SequenceStep


class Adder:
    """Adds `n` to the sum its sequence keeps. Calls stay open until the test ends them."""

    inputs = outputs = ()
    is_ready = True

    def __init__(self) -> None:
        self.open: list[tuple[int, Callable[[HeklaError | None], None]]] = []

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Begin."""

        def end(error: HeklaError | None = None) -> None:
            job.state["sum"] = job.state.get("sum", 0) + values["n"]
            on_end({"sum": job.state["sum"]} if error is None else error)

        self.open.append((values["n"], end))

    def end(self, error: HeklaError | None = None) -> None:
        """End the oldest open call."""
        self.open.pop(0)[1](error)

    async def drain(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to free."""


def _tell(story: Callable[[VirtualTimeLoop, SequenceExecutor, Adder], Any], **options: Any) -> None:  # Any: asyncio's
    async def told(loop: VirtualTimeLoop) -> None:
        inner = Adder()
        executor = SequenceExecutor(inner, SequenceConfig(**options), "m", loop.time)
        await story(loop, executor, inner)

    run_virtually(told)


def _ask(executor: SequenceExecutor, n: int, id: int | str = 1, *, start: bool = False, end: bool = False) -> Asked:
    return Asked(executor, {"n": n}, SequenceStep(id, start, end))


def test_requests_of_a_sequence_run_one_by_one_in_order_and_sequences_side_by_side() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        asked = [_ask(executor, 1, start=True), _ask(executor, 2), _ask(executor, 3, end=True)]
        other = _ask(executor, 10, "other", start=True)
        assert [n for n, _ in inner.open] == [1, 10]
        while inner.open:
            inner.end()
            await settle()
        assert [(await one.values())["sum"] for one in asked] == [1, 3, 6]
        assert (await other.values())["sum"] == 10
        assert executor.live == 1
        await executor.drain()

    _tell(story)


def test_nobody_slips_in_between_two_requests_of_a_sequence() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True), _ask(executor, 2)
        inner.end()
        _ask(executor, 3)  # before the loop turned: the second has not begun
        assert [n for n, _ in inner.open] == []
        await settle()
        assert [n for n, _ in inner.open] == [2]

    _tell(story)


def test_a_failed_request_leaves_the_state_as_it_was() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        steps = [(1, None), (2, EngineError("failed")), (4, None)]
        asked = []
        for n, error in steps:
            asked.append(_ask(executor, n, start=n == 1))
            inner.end(error)
            await settle()
        assert (await asked[2].values())["sum"] == 5

    _tell(story)


def test_a_sequence_whose_start_failed_was_never_started() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True)
        behind = _ask(executor, 2)
        inner.end(EngineError("failed"))
        await settle()
        assert isinstance(await behind.error(), InputError)
        assert (executor.live, inner.open) == (0, [])

    _tell(story)


def test_a_sequence_whose_end_failed_goes_on() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True)
        inner.end()
        _ask(executor, 2, end=True)
        inner.end(OverloadedError("full", retry_after_s=1))
        again = _ask(executor, 2, end=True)
        inner.end()
        assert (await again.values())["sum"] == 3
        assert executor.live == 0
        assert isinstance(await _ask(executor, 4).error(), InputError)

    _tell(story)


def test_what_waits_behind_the_end_of_its_sequence_is_told_so_and_a_new_start_is_new() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True)
        _ask(executor, 2, end=True)
        late, fresh = _ask(executor, 3), _ask(executor, 4, start=True)
        while inner.open:
            inner.end()
            await settle()
        assert "not known" in str(await late.error())
        assert (await fresh.values())["sum"] == 4

    _tell(story)


def test_a_sequence_that_was_not_started_or_not_named_is_refused() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        error = await _ask(executor, 1, "new").error()
        assert (type(error), error.where) == (InputError, "$.parameters.sequence_start")
        error = await Asked(executor, {"n": 1}).error()
        assert (type(error), error.where) == (InputError, "$.parameters.sequence_id")

    _tell(story)


def test_a_sequence_nobody_used_for_too_long_is_forgotten() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        for id in ("idle", "used"):
            _ask(executor, 1, id, start=True)
            inner.end()
        await asyncio.sleep(6)
        _ask(executor, 1, "used")
        inner.end()
        await asyncio.sleep(6)
        assert isinstance(await _ask(executor, 1, "idle").error(), InputError)
        used = _ask(executor, 1, "used")
        inner.end()
        assert (await used.values())["sum"] == 3
        assert executor.live == 1

    _tell(story, idle_timeout_s=10)


def test_as_many_sequences_live_as_may_and_no_more() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        for id in (1, 2):
            _ask(executor, 1, id, start=True)
            inner.end()
        error = await _ask(executor, 1, 3, start=True).error()
        assert isinstance(error, OverloadedError)
        await asyncio.sleep(11)
        _ask(executor, 1, 3, start=True)
        inner.end()
        assert executor.live == 1

    _tell(story, max_sequences=2, idle_timeout_s=10)


def test_a_request_cancelled_while_it_waits_for_its_turn_is_not_run() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True)
        gone, last = _ask(executor, 2), _ask(executor, 4)
        gone.job.cancel()
        inner.end()
        await settle()
        assert isinstance(await gone.error(), CancelledError)
        inner.end()
        assert (await last.values())["sum"] == 5

    _tell(story)


def test_draining_waits_for_those_that_wait_for_their_turn() -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        _ask(executor, 1, start=True), _ask(executor, 2)
        drained = asyncio.ensure_future(executor.drain())
        inner.end()
        await settle()
        assert not drained.done()
        inner.end()
        await settle()
        assert drained.done()

    _tell(story)


@pytest.mark.parametrize("restart_fails", [False, True])
def test_a_second_start_begins_anew_if_it_succeeds(restart_fails: bool) -> None:
    async def story(loop: VirtualTimeLoop, executor: SequenceExecutor, inner: Adder) -> None:
        for n, error in ((1, None), (10, EngineError("failed") if restart_fails else None)):
            _ask(executor, n, start=True)
            inner.end(error)
        last = _ask(executor, 100)
        inner.end()
        assert (await last.values())["sum"] == (101 if restart_fails else 110)

    _tell(story)
