"""A text model and its engine's thread: admission, faults, ends."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.serve.text.worlds import GREEDY, Reader, broken, text_world, until

from hekla.base.errors import (
    DeadlineError,
    EngineError,
    HeklaError,
    InputError,
    OverloadedError,
    UnavailableError,
)
from hekla.engines.ngram.engine import NgramOptions
from hekla.serve.config import QueueConfig, TextConfig
from hekla.serve.text.generation import Generation
from hekla.serve.text.wish import Conversation, TextWish

HI = Conversation([{"role": "user", "content": "hi"}])


def run(test: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine's type says of its sends
    """Run a test's coroutine."""
    asyncio.run(test)


def wish(**more: Any) -> TextWish:  # Any: a wish's fields
    """Return a wish that is received now."""
    return TextWish(**{"prompts": (HI,), "sampling": GREEDY, "received_s": time.monotonic(), **more})


def endless(**more: Any) -> TextWish:  # Any: a wish's fields
    """Return a wish for all that the context holds."""
    return wish(ignore_end=True, **more)


def test_an_answer_comes_and_everything_is_counted() -> None:
    async def test() -> None:
        async with text_world() as world:
            reader = Reader(world.model, wish(answers=2, tenant="ann"))
            assert world.model.waiting == 2
            assert await reader.text(0) == await reader.text(1) == "The end is near, said the clock, and struck one."
            assert reader.begun is not None
            assert reader.begun.prompt_tokens == (6,)
            assert (world.model.waiting, world.model.running) == (0, 0)
            seen = world.model.text_statistics.of("ann")
            assert (seen.prompt_tokens, seen.answer_tokens) == (6, len(reader.events))
            assert seen.first_token_s.count == 2
            assert seen.finished == {"stop": 2}
            assert world.model.statistics.total_s.count == 1

    run(test())


def test_an_engine_that_fails_fails_its_requests_and_is_made_again() -> None:
    async def test() -> None:
        async with text_world() as world:
            (engine,) = world.engines
            reader = Reader(world.model, endless())
            await reader.first_token()
            engine.fail_step = broken()
            error = await reader.failure()
            assert (type(error), str(error)) == (EngineError, "the pages are torn")
            await until(lambda: world.model.is_ready)
            assert (len(world.engines), engine.told[-1]) == (2, "close")
            assert world.model.statistics.restarts == 1
            assert await Reader(world.model, wish()).text()

    run(test())


def test_what_an_engine_raises_by_mistake_is_an_engine_error() -> None:
    async def test() -> None:
        async with text_world() as world:
            world.engines[0].fail_step = ZeroDivisionError("oops")
            error = await Reader(world.model, wish()).failure()
            assert (type(error), str(error)) == (EngineError, "ZeroDivisionError: oops")

    run(test())


@pytest.mark.slow  # the second attempt comes after a second
def test_while_an_engine_is_made_again_requests_are_refused() -> None:
    async def test() -> None:
        async with text_world() as world:
            world.fail_make = broken("no memory")
            world.engines[0].fail_step = broken()
            await Reader(world.model, wish()).failure()
            with pytest.raises(UnavailableError, match="its engine failed and is being loaded again"):
                Reader(world.model, wish())
            world.fail_make = None
            await until(lambda: world.model.is_ready)
            assert await Reader(world.model, wish()).text()

    run(test())


def test_an_engine_that_hangs_is_given_up_and_made_again() -> None:
    async def test() -> None:
        async with text_world(queue=QueueConfig(run_timeout_ms=100)) as world:
            (engine,) = world.engines
            going = Reader(world.model, endless())
            await going.first_token()
            engine.hang = threading.Event()
            error = await going.failure()
            assert (type(error), "a step ran longer than 0.1 s" in str(error)) == (EngineError, True)
            await until(lambda: world.model.is_ready)
            assert await Reader(world.model, wish()).text()
            told = len(going.events)
            engine.hang.set()
            await until(lambda: "close" in engine.told)
            assert len(going.events) == told, "what hung is not heard of again"

    run(test())


def test_a_request_the_engine_does_not_take_is_told_and_the_others_go_on() -> None:
    async def test() -> None:
        async with text_world() as world:
            (engine,) = world.engines
            going = Reader(world.model, endless())
            await going.first_token()
            for raised, kind in (
                (OverloadedError("full", retry_after_s=1), OverloadedError),
                (KeyError(), EngineError),
            ):
                engine.fail_submit = raised
                assert type(await Reader(world.model, wish(answers=3)).failure()) is kind
            engine.fail_submit = None
            assert await Reader(world.model, wish()).text()
            assert going.error is None
            going.ticket.cancel()
            assert world.model.waiting == world.model.running == 0

    run(test())


def test_a_cancelled_request_frees_its_pages_before_the_next_step() -> None:
    async def test() -> None:
        async with text_world() as world:
            (engine,) = world.engines
            reader = Reader(world.model, endless(answers=3))
            await reader.first_token()
            reader.ticket.cancel()
            reader.ticket.cancel()
            told = len(reader.events)
            await until(lambda: not engine.has_work)
            assert engine.status().free_pages == engine.status().pages
            assert engine.told.count("cancel") == 3
            assert len(reader.events) == told, "nothing is told any more"
            assert world.model.statistics.cancelled == 1

    run(test())


def test_a_request_cancelled_before_the_engine_has_it_never_gets_there() -> None:
    async def test() -> None:
        async with text_world() as world:
            Reader(world.model, endless()).ticket.cancel()
            assert await Reader(world.model, wish()).text()
            assert not world.engines[0].has_work

    run(test())


def test_a_reader_that_breaks_loses_its_own_answer_only() -> None:
    async def test() -> None:
        async with text_world() as world:
            breaking, other = Reader(world.model, endless()), Reader(world.model, wish())

            def fault() -> None:
                raise LookupError("a bug of the door")

            breaking.on_token = fault
            assert str(await breaking.failure()) == "internal fault: LookupError"
            assert await other.text()
            await until(lambda: not world.engines[0].has_work)

    run(test())


def test_more_than_may_wait_are_refused() -> None:
    async def test() -> None:
        options = NgramOptions(running=1, pace_ms=1)
        async with text_world(options, TextConfig(max_waiting=2)) as world:
            first = Reader(world.model, endless())
            await first.first_token()
            Reader(world.model, wish(answers=2))
            with pytest.raises(OverloadedError) as refused:
                Reader(world.model, wish())
            assert refused.value.retry_after_s >= 1
            first.ticket.cancel()

    run(test())


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"prompts": ("",)}, None, ""),
        ({"prompts": ((),)}, InputError, "is empty"),
        ({"prompts": ("x" * 3000,)}, InputError, "got 3001 tokens"),
        ({"timeout_s": 1e-9}, DeadlineError, "was over before"),
    ],
)
def test_a_prompt_that_cannot_be_prepared_is_told(
    change: dict[str, Any], kind: type[HeklaError] | None, words: str
) -> None:
    async def test() -> None:
        async with text_world() as world:
            reader = Reader(world.model, wish(max_tokens=1, **change))
            if kind is None:
                await reader.text()
                return
            error = await reader.failure()
            assert isinstance(error, kind)
            assert words in str(error)
            assert world.model.waiting == 0

    run(test())


def test_a_model_that_drains_refuses_and_finishes() -> None:
    async def test() -> None:
        async with text_world(NgramOptions(pace_ms=1)) as world:
            reader = Reader(world.model, wish())
            draining = asyncio.create_task(world.model.drain())
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError, match="is being unloaded"):
                Reader(world.model, wish())
            await draining
            assert await reader.text()

    run(test())


def test_a_server_that_stops_ends_answers_with_a_reason() -> None:
    async def test() -> None:
        async with text_world(NgramOptions(running=1, pace_ms=1)) as world:
            writing, waiting = Reader(world.model, endless()), Reader(world.model, endless())
            await writing.first_token()
            await until(lambda: waiting.begun is not None)
            world.model.end_all()
            await asyncio.gather(writing.text(), waiting.text())
            assert (writing.reasons, waiting.reasons) == (["cancelled"], ["cancelled"])
            await asyncio.wait_for(world.model.drain(), 10)

    run(test())


def test_a_server_that_stops_refuses_what_the_engine_has_not_taken() -> None:
    async def test() -> None:
        async with text_world() as world:
            reader = Reader(world.model, endless())
            world.model.end_all()
            assert str(await reader.failure()) == "model 'faulty': the server is stopping"
            await asyncio.wait_for(world.model.drain(), 10)
            await until(lambda: not world.engines[0].has_work)
            assert world.model.waiting == world.model.running == 0

    run(test())


def test_what_a_hung_engine_was_handed_and_never_took_is_told_too() -> None:
    async def test() -> None:
        async with text_world(queue=QueueConfig(run_timeout_ms=100)) as world:
            (engine,) = world.engines
            engine.hang = threading.Event()
            first = Reader(world.model, endless())
            await until(lambda: first.begun is not None)
            second = Reader(world.model, endless())
            for reader in (first, second):
                assert "a step ran longer" in str(await reader.failure())
            engine.hang.set()

    run(test())


def test_an_idle_engine_is_tidied_once_until_it_works_again() -> None:
    async def test() -> None:
        async with text_world(idle_s=0.01) as world:
            (engine,) = world.engines
            await until(lambda: "tidy" in engine.told)
            await asyncio.sleep(0.05)  # as long as five would take
            assert engine.told.count("tidy") == 1
            await Reader(world.model, wish()).text()
            await until(lambda: engine.told.count("tidy") == 2)
            engine.fail_tidy = broken()
            await Reader(world.model, wish()).text()
            await until(lambda: len(world.engines) == 2)
            assert await Reader(world.model, wish()).text()

    run(test())


@pytest.mark.slow
def test_an_idle_thread_sleeps() -> None:
    async def test() -> None:
        async with text_world(idle_s=0.01) as world:
            await Reader(world.model, wish()).text()
            await until(lambda: world.engines[0].told.count("tidy") >= 1)
            started = time.process_time()
            await asyncio.sleep(0.3)
            assert time.process_time() - started < 0.1

    run(test())


def test_a_traced_request_tells_where_each_tokens_time_went() -> None:
    ended: list[tuple[Generation, HeklaError | None]] = []

    async def test() -> None:
        async with text_world(on_text=lambda generation, error: ended.append((generation, error))) as world:
            await Reader(world.model, wish(max_tokens=5, answers=2)).text()

    run(test())
    ((generation, error),) = ended
    assert error is None
    for timeline in generation.timelines:
        assert (timeline.tokens, timeline.finish_reason, len(timeline.times)) == (5, "length", 5)
        assert all(times.sample_s >= 0 for _, times in timeline.times)
    assert len(generation.sent) > 0
