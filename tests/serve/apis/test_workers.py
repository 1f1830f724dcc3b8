"""The threads behind an interface: bounded, in time, cancelled before they begin, closed after they finish."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from hekla.base.errors import DeadlineError, EngineError, HeklaError, InputError, OverloadedError
from hekla.serve.apis.workers import Workers

LATER = time.monotonic() + 3600


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers("toy", threads=1, queue=1)
    yield made
    made.close()


async def outcome(workers: Workers, work: object, deadline_s: float = LATER) -> object:
    """Submit work, return what `done` was called with."""
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    assert callable(work)
    workers.submit(work, deadline_s, told.set_result)
    return await told


def test_results_and_errors_come_back_on_the_loop(workers: Workers) -> None:
    async def run() -> None:
        assert await outcome(workers, lambda: 7) == 7
        wrong = InputError("no", where="$")

        def refuse() -> None:
            raise wrong

        assert await outcome(workers, refuse) is wrong

    asyncio.run(run())


def test_a_fault_of_ours_is_an_engine_error_and_logged(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    told = asyncio.run(outcome(workers, fail))
    assert isinstance(told, EngineError)
    assert "ZeroDivisionError" in str(told)
    assert "could not be answered" in caplog.text


def test_one_request_too_many_is_refused_at_once_and_room_comes_back(workers: Workers) -> None:
    async def run() -> None:
        gate = threading.Event()
        ended: list[object] = []
        both = asyncio.Event()

        def done(answer: object) -> None:
            ended.append(answer)
            if len(ended) == 2:
                both.set()

        for _ in range(2):
            workers.submit(gate.wait, LATER, done)
        with pytest.raises(OverloadedError) as told:
            workers.submit(gate.wait, LATER, done)
        assert told.value.retry_after_s > 0
        gate.set()
        await both.wait()
        assert ended == [True, True]
        assert await outcome(workers, lambda: "room") == "room"
        assert workers.inside == 0

    asyncio.run(run())


def test_work_that_would_begin_too_late_is_not_done(workers: Workers) -> None:
    did: list[int] = []
    told = asyncio.run(outcome(workers, lambda: did.append(1), deadline_s=time.monotonic() - 1))
    assert isinstance(told, DeadlineError)
    assert not did


def test_work_cancelled_before_it_begins_is_never_done_and_leaves_room(workers: Workers) -> None:
    async def run() -> None:
        gate, did = threading.Event(), []
        first: asyncio.Future[bool | HeklaError] = asyncio.get_running_loop().create_future()
        workers.submit(gate.wait, LATER, first.set_result)
        task = workers.submit(lambda: did.append(1), LATER, lambda _: did.append(2))
        task.cancel()
        assert workers.inside == 1
        gate.set()
        await first
        assert await outcome(workers, lambda: "after") == "after"
        assert did == []

    asyncio.run(run())
