"""Many requests at once, readers that leave, engines that fail, models that are swapped: nobody is forgotten."""

import asyncio
import random
import threading

import openai
import pytest
from tests.running_server import RunningServer
from tests.serve.text.sse_client import wait_for
from tests.serve.text.worlds import Reader, World, broken, text_world, until

from hekla.base.errors import OverloadedError, UnavailableError
from hekla.engines.ngram.engine import NgramOptions
from hekla.protocols.text_engine import Sampling
from hekla.serve.config import TextConfig
from hekla.serve.text.wish import Conversation, TextWish


class Crowd:
    """Readers that come at random; some leave again."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._numbers = world, random.Random(seed)
        self.readers: list[Reader] = []

    async def come(self, count: int) -> None:
        """Let so many come, one more or less at a time."""
        await asyncio.gather(*(self._ask() for _ in range(count)))

    async def _ask(self) -> None:
        numbers = self._numbers
        for _ in range(numbers.randrange(5)):
            await asyncio.sleep(0)
        try:
            reader = Reader(self._world.model, self._wish())
        except (OverloadedError, UnavailableError):
            return
        self.readers.append(reader)
        if numbers.random() < 0.3:
            for _ in range(numbers.randrange(30)):
                await asyncio.sleep(0)
            reader.ticket.cancel()
            reader.was_cancelled = True

    def _wish(self) -> TextWish:
        numbers = self._numbers
        return TextWish(
            (Conversation([{"role": "user", "content": "x" * numbers.randrange(1, 230)}]),),
            answers=numbers.randrange(1, 4),
            max_tokens=numbers.randrange(1, 60),
            sampling=Sampling(seed=numbers.randrange(99)),
            tenant=f"tenant {numbers.randrange(3)}",
            priority=numbers.randrange(1, 4),
            timeout_s=numbers.choice((0.0, 0.0, 0.02)),
        )


@pytest.mark.parametrize("seed", range(5))
def test_every_request_has_one_end_and_nothing_is_left(seed: int) -> None:
    options = NgramOptions(pages=64, page_tokens=4, running=4, context=200)

    async def test() -> None:
        async with text_world(options, TextConfig(max_waiting=30)) as world:
            crowd = Crowd(world, seed)
            for turn in range(6):
                await crowd.come(12)
                if turn in (2, 4):
                    world.engines[-1].fail_step = broken()
                    failing = world.engines[-1]
                    await until(failing.is_idle)
                    failing.fail_step = None  # where all were gone already, nothing steps into it
                    await until(lambda: world.model.is_ready)
            stayed = [reader for reader in crowd.readers if not reader.was_cancelled]
            for reader in stayed:
                await reader.ended()
            await until(lambda: not world.engines[-1].has_work)
            assert (world.model.waiting, world.model.running) == (0, 0)
            status = world.engines[-1].status()
            assert status.free_pages == status.pages
            world.engines[-1].tidy()
            whole = [reader for reader in stayed if reader.error is None]
            assert all(len(reader.reasons) == len({index for index, _ in reader.events}) for reader in whole)
            assert whole  # how many is a matter of deadlines, and of this machine

    asyncio.run(test())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer_alone_and_among_thirty_two(text_server: RunningServer) -> None:
    async def test() -> None:
        url = f"{text_server.http_url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

            async def answer(seed: int) -> str:
                stream = await client.chat.completions.create(
                    model="words",
                    messages=[{"role": "user", "content": f"question {seed % 4}"}],
                    seed=seed,
                    temperature=1.2,
                    stream=True,
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            alone = [await answer(seed) for seed in range(8)]
            crowd = await asyncio.gather(*(answer(seed) for seed in range(32)))
        assert crowd[:8] == alone
        assert len(set(crowd)) > 4

    asyncio.run(test())
    wait_for(text_server, "words", running=0, waiting=0)


@pytest.mark.slow
def test_a_model_swapped_again_and_again_loses_no_answer(text_server: RunningServer) -> None:
    statuses: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        chat = {"model": "words", "messages": [{"role": "user", "content": "hi"}]}
        while not stopping.is_set():
            statuses.append(text_server.post_json("/v1/chat/completions", chat).status)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for _ in range(8):
        assert text_server.post_json("/v2/repository/models/words/load", {}).status == 200
    stopping.set()
    for asker in askers:
        asker.join()
    assert set(statuses) == {200}
    assert len(statuses) > 16
