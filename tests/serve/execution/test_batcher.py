"""When a batch leaves, and what becomes of requests whose engine fails, dies or hangs."""

import asyncio
from collections.abc import Callable, Coroutine

import numpy as np
import pytest
from tests.serve.execution.batcher_world import World
from tests.serve.execution.scripted import DoublingEngine, ScriptedInstance, Y, config_of
from tests.serve.execution.virtual_time import VirtualTimeLoop, run_virtually, settle

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, DeadlineError, EngineError, UnavailableError
from hekla.protocols.engine import Cancellation
from hekla.protocols.tensor import ANY, Tensors, TensorSpec
from hekla.serve.config import BatchingConfig, ModelConfig, QueueConfig
from hekla.serve.execution.batcher import Batcher
from hekla.serve.execution.instance import Instance, Ran
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.work import Work

FOUR = BatchingConfig(max_batch=4, adaptive=False)
TWO_WAIT = BatchingConfig(max_batch=4, max_delay_us=5000, adaptive=False)
Story = Callable[[VirtualTimeLoop], Coroutine[None, None, None]]


def sizes(instance: ScriptedInstance) -> list[int]:
    """Rows of the batches an engine got."""
    return [len(batch) for batch in instance.batches]


def test_an_idle_engine_never_waits_for_company() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, TWO_WAIT)
        world.ask()
        await settle()
        assert sizes(world.instances[0]) == [1]
        assert loop.now == 1000.0

    run_virtually(story)


def test_what_gathers_while_the_engine_runs_leaves_together_and_no_larger_than_a_batch() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        for _ in range(7):
            world.ask()
        await settle()
        assert sizes(world.instances[0]) == [4]
        world.instances[0].end()
        await settle()
        assert sizes(world.instances[0]) == [4, 3]

    run_virtually(story)


def test_a_second_engine_waits_for_company_no_longer_than_it_may() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, TWO_WAIT, instances=2)
        world.ask()
        await settle()
        asked_s = loop.now
        world.ask()
        await settle()
        assert world.statistics.waiting == 1
        await asyncio.sleep(0.004)
        assert sizes(world.instances[1]) == []
        await asyncio.sleep(0.0011)
        assert sizes(world.instances[1]) == [1]
        assert loop.now - asked_s == pytest.approx(0.0051)

    run_virtually(story)


@pytest.mark.parametrize(("preferred", "rows"), [((), 4), ((2,), 2)])
def test_a_second_engine_starts_at_once_on_a_full_or_preferred_batch(preferred: tuple[int, ...], rows: int) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        batching = BatchingConfig(max_batch=4, max_delay_us=5000, preferred=preferred, adaptive=False)
        world = World(loop, batching, instances=2)
        world.ask()
        await settle()
        for _ in range(rows):
            world.ask()
        await settle()
        assert sizes(world.instances[1]) == [rows]

    run_virtually(story)


def test_a_full_batch_does_not_stand_behind_one_that_waits_for_company() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, TWO_WAIT, instances=2)
        world.ask()
        await settle()
        world.ask(width=2)
        for _ in range(4):
            world.ask(width=3)
        await settle()
        assert [batch.shape for batch in world.instances[1].batches] == [(4, 3)]
        await world.finish()
        world.check_all_answered_once()

    run_virtually(story)


def test_a_batch_grows_to_the_largest_preferred_size_it_can_fill() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(max_batch=8, preferred=(2, 4), adaptive=False))
        for _ in range(7):
            world.ask()
        await world.finish()
        assert sizes(world.instances[0]) == [4, 2, 1]

    run_virtually(story)


def test_where_batching_hurts_requests_are_not_joined() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(max_batch=4), QueueConfig(max_wait_ms=0))
        for _ in range(200):
            world.ask()
        await settle()
        while world.called():
            rows = len(world.instances[0].batches[-1])
            await asyncio.sleep(0.001 * rows**2)  # four rows cost four times as much each as one alone
            world.instances[0].end()
            await settle()
        assert sizes(world.instances[0])[-50:].count(1) >= 48
        world.check_all_answered_once()

    run_virtually(story)


def test_priorities_go_first_and_equals_keep_their_order() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig())
        for priority in (2, 3, 1, 2, 1):
            world.ask(priority=priority)
        await world.finish()
        assert world.order() == [3, 5, 1, 4, 2]

    run_virtually(story)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(), QueueConfig(capacity=2, max_wait_ms=0))
        world.ask()
        await settle()
        await asyncio.sleep(0.5)
        world.instances[0].end()  # a call takes half a second
        for _ in range(3):
            world.ask()
            await settle()
        with pytest.raises(Exception, match="the queue is full: 2 requests wait") as caught:
            world.batcher.submit(_work(world))
        assert getattr(caught.value, "retry_after_s", None) == pytest.approx(1.0)

    run_virtually(story)


def test_a_request_that_would_wait_too_long_is_refused() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(), QueueConfig(max_wait_ms=1200))
        world.ask()
        await settle()
        await asyncio.sleep(0.5)
        world.instances[0].end()
        asked = []
        for _ in range(5):
            asked.append(world.ask())
            await settle()
        assert [a.was_refused for a in asked] == [False, False, False, False, True]

    run_virtually(story)


def test_a_bad_request_that_is_gone_does_not_fail_its_neighbour() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        bad, good = world.ask(bad=True, timeout_s=0.01), world.ask()
        await asyncio.sleep(0.02)
        assert isinstance(bad.error, DeadlineError)
        await world.finish()
        assert good.error is None
        world.check_answers()

    run_virtually(story)


def test_a_call_that_nobody_waits_for_is_stopped() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        one, other = world.ask(), world.ask(timeout_s=0.01)
        await settle()
        world.cancel(one)
        cancellation = world.instances[0].cancellation
        stopped = [cancellation.is_set]
        await asyncio.sleep(0.02)
        assert [*stopped, cancellation.is_set] == [False, True], "first the other one still waits"
        world.instances[0].end(CancelledError("stopped"))
        await world.finish()
        assert isinstance(other.error, DeadlineError)
        assert "being computed" in str(other.error)
        world.check_all_answered_once()

    run_virtually(story)


def test_requests_of_a_dead_engine_are_run_once_more_each_alone() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR, QueueConfig(max_wait_ms=0))
        asked = [world.ask(), world.ask(), world.ask()]
        await settle()
        world.instances[0].end(UnavailableError("died"))
        await settle()
        assert [a.told for a in asked] == [[], [], []]
        world.replace()
        await settle()
        world.instances[1].end(UnavailableError("died again"))
        await world.finish()
        assert [type(a.error) for a in asked] == [UnavailableError, type(None), type(None)]
        assert [len(batch) for i in world.instances for batch in i.batches] == [3, 1, 1, 1]
        assert world.statistics.restarts == 2

    run_virtually(story)


def test_who_finds_an_engine_dead_of_the_call_before_does_not_lose_its_second_try() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        for _ in range(2):
            world.cancel(world.ask())
            gone = world.ask()
            await settle()
            world.cancel(gone)
            unlucky = world.ask()
            instance = world.called()[0]
            instance.end(CancelledError("stopped, and its worker killed"))
            await settle()
            instance.end(UnavailableError("the worker was killed"))
            world.replace()
            await settle()
        assert not unlucky.told
        world.called()[0].end(UnavailableError("died"))  # this one is on its own account, and the first
        await world.finish()
        world.check_all_answered_once()
        assert unlucky.error is None

    run_virtually(story)


def test_a_hung_engine_is_replaced_and_only_its_culprit_is_told() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR, QueueConfig(run_timeout_ms=100, max_wait_ms=0))
        culprit, neighbour = world.ask(), world.ask()
        await asyncio.sleep(0.11)
        first = world.instances[0]
        assert (first.lost, first.cancellation.is_set, world.missing) == (True, True, 1)
        world.replace()
        await asyncio.sleep(0.11)  # the culprit hangs again, alone this time
        assert isinstance(culprit.error, DeadlineError)
        assert "100 ms" in str(culprit.error)
        await world.finish()
        assert neighbour.error is None
        first.end()  # much later
        await settle()
        world.check_all_answered_once()

    run_virtually(story)


def test_draining_ends_after_a_hang_too() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR, QueueConfig(run_timeout_ms=100))
        world.ask()
        await settle()
        await world.batcher.drain()
        assert loop.now == pytest.approx(1000.1)
        world.check_all_answered_once()

    run_virtually(story)


def test_draining_ends_when_the_only_waiting_request_is_cancelled() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        world.cancel(world.ask())  # its batch was to leave in this very turn
        await world.batcher.drain()
        assert sizes(world.instances[0]) == []

    run_virtually(story)


@pytest.mark.parametrize("how", ["batch", "expire", "cancel", "fail"])
def test_room_is_told_of_however_it_comes(how: str) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(), QueueConfig(capacity=1, max_wait_ms=0))
        world.ask()
        await settle()
        waiting = world.ask(timeout_s=0.01 if how == "expire" else None)
        told: list[int] = []
        world.batcher.when_room(lambda: told.append(1))
        world.batcher.when_room(lambda: told.append(2))
        assert told == []
        if how == "batch":
            world.instances[0].end()
        elif how == "cancel":
            world.cancel(waiting)
        elif how == "fail":
            world.batcher.fail_waiting(UnavailableError("no hope"))
        await asyncio.sleep(0.02)
        assert told == [1, 2]

    run_virtually(story)


def test_callers_that_come_and_go_do_not_fill_the_memory() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        world.ask()
        await settle()
        for _ in range(1000):
            world.cancel(world.ask())
        lines = world.batcher._waiting._levels.values()
        assert sum(len(line) for level in lines for line in level.values()) < 100
        await world.finish()

    run_virtually(story)


def test_a_batch_there_is_no_room_for_is_answered_one_by_one() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        join = world.layout.join

        def refuse(works: list[Work], copied: object) -> object:
            if len(works) > 1:
                raise MemoryError
            return join(works, world.statistics.bytes_copied)

        world.layout.join = refuse  # type: ignore[method-assign, assignment]  # a fault planted
        asked = [world.ask(), world.ask()]
        await world.finish()
        assert [a.error for a in asked] == [None, None]

    run_virtually(story)


def test_the_answers_of_a_batch_survive_a_caller_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        rude, polite = world.ask(), world.ask()
        assert rude.work is not None

        def raise_(work: Work, told: object) -> None:
            raise ValueError("a bug in a door")

        rude.work.on_finished = raise_
        await world.finish()
        assert polite.error is None

    run_virtually(story)
    assert "could not be handed over" in caplog.text


class _Quick(Instance):
    """Runs on the loop, and each call takes a millisecond of the virtual clock."""

    def __init__(self, loop: VirtualTimeLoop, engine: DoublingEngine) -> None:
        super().__init__(engine, "quick", loop)
        self._virtual = loop
        self.ran_here = self.was_started = 0

    def run_here(self, inputs: Tensors, outputs: tuple[str, ...]) -> Ran:
        self.ran_here += 1
        started_s = self._virtual.now
        self._virtual.now += 0.0003
        return Ran(self.engine.run(inputs, outputs), started_s, self._virtual.now)

    def start(
        self, inputs: Tensors, outputs: tuple[str, ...], cancellation: Cancellation, on_end: Callable[[Ran], None]
    ) -> None:
        self.busy = True
        self.was_started += 1
        self._virtual.call_soon(on_end, self.run_here(inputs, ()))


def test_short_calls_run_on_the_loop_but_never_hold_it_for_long() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, BatchingConfig(), QueueConfig(max_wait_ms=0))
        quick = _Quick(loop, DoublingEngine(may_block=False))
        one_shape = TensorSpec("x", DType.FP32, (ANY, 1), 0)
        world.layout = BatchLayout((one_shape,), (Y,), BatchingConfig(), "m")
        world.batcher = Batcher(world_config(), world.layout, [quick], world.statistics, lambda _: None, loop.time)
        for _ in range(8):  # the first calls are made on the thread
            world.ask()
        await settle()
        await world.batcher.drain()
        for _ in range(100):
            world.ask()
        before, longest = loop.now, 0.0
        while world.statistics.waiting:
            await asyncio.sleep(0)  # others have their turn here
            longest, before = max(longest, loop.now - before), loop.now
        assert (quick.ran_here, quick.was_started) == (108, 4)
        assert longest < 0.004
        world.check_all_answered_once()

    run_virtually(story)


def test_a_request_that_expired_while_the_loop_was_held_is_not_computed() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        late, early = world.ask(timeout_s=0.01), world.ask()
        loop.now += 0.02  # something held the loop: no timer could tell
        await world.finish()
        assert isinstance(late.error, DeadlineError)
        assert early.error is None
        assert world.order() == [early.number]

    run_virtually(story)


def world_config() -> ModelConfig:
    """Return a model that does not batch and whose queue is long."""
    return config_of(BatchingConfig(), QueueConfig(max_wait_ms=0))


def _work(world: World) -> Work:
    x = np.ones((1, 1), np.float32)
    return Work({"x": x}, (), 1, None, (), 2, world.loop.time(), None, lambda work, told: None)


def test_an_engine_that_leaves_rows_out_is_found_out() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        asked = [world.ask(), world.ask()]
        await settle()
        world.instances[0].end({"y": np.zeros((1, 1), np.float32)})  # two rows went in
        await world.finish()
        assert [a.error for a in asked] == [None, None], "each was run alone"
        world.check_answers()

    run_virtually(story)


def test_an_output_nobody_declared_is_the_engines_error() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        world = World(loop, FOUR)
        world.ask(), world.ask()
        await settle()
        world.instances[0].end({"z": np.zeros((2, 1), np.float32)})
        await settle()
        with pytest.raises(EngineError, match="z"):
            world.layout.split({"z": np.zeros((2, 1), np.float32)}, [_work(world), _work(world)])
        await world.finish()
        world.check_all_answered_once()

    run_virtually(story)
