"""The short way through a model is open only where nothing is lost by it, and counts what takes it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.serve.express_world import World, world, write_echo

from hekla.base.errors import HeklaError
from hekla.serve.request import Signature
from hekla.serve.service import Express


def _x(*firsts: float) -> dict[str, "np.typing.NDArray[np.float32]"]:
    return {"x": np.array([[first, 0] for first in firsts], np.float32)}


def _way(it: World) -> Express:
    express = it.host.express("m")
    assert express is not None
    return express


def test_what_it_runs_is_counted_as_any_other_request(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm_sizes()
            express, statistics = _way(it), it.served.statistics
            assert all(express.enter() for _ in range(2))
            assert it.served.in_flight == 2
            outputs = express.run(_x(1, 2), 2, 16)
            assert outputs is not None
            assert outputs["y"][:, 0].tolist() == [1, 2]
            express.answered(2, [0.0, 0.0])
            assert it.served.in_flight == 0
            for histogram in (statistics.total_s, statistics.queue_s, statistics.compute_s):
                assert histogram.count == it.SIZES + 2
            assert statistics.rows == it.SIZES + 2

    asyncio.run(story())


def test_a_failed_call_leaves_the_requests_to_the_ordinary_way(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm_sizes()
            express = _way(it)
            assert express.enter()
            assert express.run(_x(66), 1, 0) is None
            assert it.served.in_flight == 1, "it is still there"
            express.leave(1)
            assert it.served.in_flight == 0
            assert it.served.statistics.total_s.count == it.SIZES
            assert express.enter(), "one bad request shuts out nobody"
            express.leave(1)

    asyncio.run(story())


def test_outputs_nobody_can_use_shut_it_for_a_while(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm_sizes()
            express = _way(it)
            assert express.enter()
            assert express.run(_x(1), 1, 0) is not None
            express.leave(1)
            assert not express.enter()
            assert it.served.in_flight == 0
            assert [express.enter() for _ in range(256)][-1], "and then it is tried again"
            express.leave(1)

    asyncio.run(story())


def test_it_takes_no_more_than_the_queue_would(tmp_path: Path) -> None:
    write_echo(tmp_path, toml="[queue]\ncapacity = 8\n")

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm_sizes()
            express = _way(it)
            assert [express.enter() for _ in range(10)] == [True] * 8 + [False] * 2
            express.leave(8)

    asyncio.run(story())


def test_it_is_shut_while_others_wait_and_once_the_model_is_retired(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm_sizes()
            express = _way(it)
            waiting = asyncio.ensure_future(it.raw(_x(1)))
            await asyncio.sleep(0)
            assert it.served.statistics.waiting
            assert not express.enter()
            assert not isinstance(await waiting, HeklaError)
            assert express.enter()
            draining = asyncio.create_task(it.served.drain())
            await asyncio.sleep(0)
            assert not express.enter()
            assert not express.is_current
            assert not draining.done(), "one came before"
            assert express.run(_x(1), 1, 0) is not None
            express.answered(1, [0.0])
            await asyncio.wait_for(draining, 30)

    asyncio.run(story())


def test_only_what_this_very_model_checked_may_take_it(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            signature = Signature()
            assert not _way(it).has_checked(signature)
            signature.checked_by = it.served
            assert _way(it).has_checked(signature)
            await it.host.load_model("m")
            assert not _way(it).has_checked(signature)

    asyncio.run(story())


@pytest.mark.parametrize("toml", ["max_batch = 1\n", "max_batch = 8\n[queue]\ntimeout_ms = 1000\n"])
def test_models_whose_requests_need_more_have_none(tmp_path: Path, toml: str) -> None:
    write_echo(tmp_path)
    path = tmp_path / "m" / "model.toml"
    path.write_text(path.read_text().replace("max_batch = 8\n", "").replace("[batching]\n", "[batching]\n" + toml, 1))
    if "[queue]" in toml:
        path.write_text(path.read_text().replace("adaptive = false\n", ""))

    async def story() -> None:
        async with world(tmp_path) as it:
            assert it.host.express("m") is None

    asyncio.run(story())
