"""What holds for every batcher whatever happens, over random stories on a virtual clock."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.serve.execution.batcher_world import World
from tests.serve.execution.virtual_time import VirtualTimeLoop, run_virtually, settle

from hekla.base.errors import CancelledError, DeadlineError, EngineError, UnavailableError
from hekla.serve.config import BatchingConfig, QueueConfig
from hekla.serve.execution.work import Work


@dataclass(frozen=True)
class Ask:
    rows: int
    width: int
    priority: int
    timeout_ms: int | None
    bad: bool


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class End:
    which: int
    how: str  # "answer", "raise", "die", "stop"


@dataclass(frozen=True)
class Pass:
    ms: int


@dataclass(frozen=True)
class Replace:
    pass


@dataclass(frozen=True)
class FailWaiting:
    pass


Event = Ask | Cancel | End | Pass | Replace | FailWaiting

ASK = st.builds(
    Ask,
    rows=st.integers(0, 4),
    width=st.integers(1, 2),
    priority=st.integers(1, 3),
    timeout_ms=st.none() | st.integers(0, 30),
    bad=st.booleans(),
)
ASK_WELL = st.builds(Ask, st.integers(0, 4), st.integers(1, 2), st.integers(1, 3), st.none(), st.just(False))
EVENTS = st.lists(
    st.one_of(
        ASK,
        ASK,
        ASK,
        st.builds(Cancel, st.integers(0, 20)),
        st.builds(End, st.integers(0, 2), st.sampled_from(["answer", "answer", "raise", "die", "stop"])),
        st.builds(Pass, st.integers(0, 12)),
        st.builds(Replace),
        st.builds(FailWaiting),
    ),
    max_size=40,
)
MODEL = st.builds(
    BatchingConfig,
    max_batch=st.sampled_from([1, 4, 8]),
    max_delay_us=st.sampled_from([0, 5000]),
    preferred=st.sampled_from([(), (2,), (2, 4)]),
    adaptive=st.booleans(),
)
QUEUE = st.builds(
    QueueConfig,
    capacity=st.sampled_from([3, 50]),
    max_wait_ms=st.sampled_from([0, 20]),
    run_timeout_ms=st.sampled_from([0, 10]),
)


def _play(world: World, event: Event) -> None:
    match event:
        case Ask():
            timeout_s = None if event.timeout_ms is None else event.timeout_ms / 1e3
            rows = event.rows
            world.ask(rows, event.width, event.priority, timeout_s, bad=event.bad)
        case Cancel():
            if world.asked:
                world.cancel(world.asked[event.which % len(world.asked)])
        case End():
            if called := world.called():
                instance = called[event.which % len(called)]
                results = {
                    "answer": None,
                    "raise": EngineError("raised"),
                    "die": UnavailableError("died"),
                    # As an engine that was asked to stop; nobody asks while somebody waits.
                    "stop": CancelledError("stopped") if instance.cancellation.is_set else None,
                }
                instance.end(results[event.how])
        case Replace():
            if world.missing:
                world.replace()
        case FailWaiting():
            world.batcher.fail_waiting(UnavailableError("no hope"))


async def _story(
    loop: VirtualTimeLoop, batching: BatchingConfig, queue: QueueConfig, instances: int, events: list[Event]
) -> World:
    world = World(loop, batching, queue, instances)
    for event in events:
        if isinstance(event, Pass):
            await asyncio.sleep(event.ms / 1e3)
        _play(world, event)
        if isinstance(event, Pass | End | Replace):
            await settle()
            world.check_no_idle_engine_waits()
    await world.finish()
    return world


@settings(deadline=None, max_examples=150)
@given(MODEL, QUEUE, st.integers(1, 3), EVENTS)
@example(BatchingConfig(max_batch=4), QueueConfig(), 1, [Ask(0, 1, 1, None, False)])
@example(BatchingConfig(max_batch=1), QueueConfig(), 1, [Ask(0, 1, 1, None, False), Ask(2, 2, 1, None, False)])
@example(
    BatchingConfig(max_batch=4),
    QueueConfig(),
    1,
    [Ask(1, 1, 1, None, False), Ask(1, 1, 1, 5, False), Ask(1, 1, 1, None, False), End(0, "die"), Pass(10), Replace()],
)
def test_every_request_is_answered_once_whatever_happens(
    batching: BatchingConfig, queue: QueueConfig, instances: int, events: list[Event]
) -> None:
    world = run_virtually(lambda loop: _story(loop, batching, queue, instances, events))
    world.check_all_answered_once()
    world.check_answers()
    world.check_batches()
    for asked in world.asked:
        if asked.was_cancelled:
            assert isinstance(asked.error, CancelledError)


@settings(deadline=None, max_examples=100)
@given(
    MODEL, st.integers(1, 3), st.lists(st.one_of(ASK, ASK_WELL, st.builds(End, st.integers(0, 2), st.just("answer"))))
)
def test_good_requests_are_answered_beside_bad_ones(
    batching: BatchingConfig, instances: int, events: list[Event]
) -> None:
    queue = QueueConfig(capacity=1000, max_wait_ms=0)
    world = run_virtually(lambda loop: _story(loop, batching, queue, instances, events))
    world.check_all_answered_once()
    world.check_answers()
    for asked in world.asked:
        if asked.is_good and asked.deadline_s is None:
            assert asked.error is None, asked.error
        elif not asked.is_good and asked.deadline_s is None:
            assert isinstance(asked.error, EngineError)


@settings(deadline=None, max_examples=100)
@given(MODEL, st.lists(ASK, max_size=12))
def test_what_expired_while_it_waited_is_never_computed(batching: BatchingConfig, asks: list[Ask]) -> None:
    async def story(loop: VirtualTimeLoop) -> World:
        world = World(loop, batching, QueueConfig(capacity=1000, max_wait_ms=0))
        world.ask(1, 1, 1)
        await settle()  # the engine is busy with this one
        for ask in asks:
            _play(world, ask)
        await asyncio.sleep(0.1)  # longer than any of them may wait
        for asked in world.asked[1:]:
            if asked.deadline_s is not None:
                assert isinstance(asked.error, DeadlineError)
                assert "waiting" in str(asked.error)
        await world.finish()
        computed = set(world.order())
        assert not computed & {asked.number for asked in world.asked if asked.deadline_s is not None}
        return world

    run_virtually(story).check_all_answered_once()


def test_the_rules_notice_a_request_that_is_lost() -> None:
    async def story(loop: VirtualTimeLoop) -> World:
        world = World(loop, BatchingConfig(max_batch=4))
        lost: list[Work] = []
        for _ in range(3):
            asked = world.ask()
            assert asked.work is not None
            lost.append(asked.work)
        lost[1].on_finished = lambda work, told: None  # somebody forgets to hand it over
        await world.finish()
        return world

    with pytest.raises(AssertionError, match="2"):
        run_virtually(story).check_all_answered_once()
