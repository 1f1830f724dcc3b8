"""A text model on the test's own loop, over an engine that does what the test says."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from tests.text_models import CORPUS

from hekla.base.errors import EngineError, HeklaError
from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.protocols.text_engine import RequestId, Sampling, TextRequest, TokenEvent
from hekla.serve.config import EngineConfig, ModelConfig, QueueConfig, TextConfig
from hekla.serve.observe.statistics import ModelStatistics
from hekla.serve.text.generation import OnText
from hekla.serve.text.model import TextModel
from hekla.serve.text.wish import Begun, TextWish

GREEDY = Sampling(temperature=0)


class FaultyEngine(NgramEngine):
    """An engine that fails where it is told to, and tells what was asked of it."""

    def __init__(self, options: NgramOptions) -> None:
        super().__init__("faulty", CORPUS.encode(), options)
        self.fail_step: Exception | None = None
        self.fail_tidy: Exception | None = None
        self.fail_submit: Exception | None = None
        self.told: list[str] = []
        self.hang: threading.Event | None = None

    def is_idle(self) -> bool:
        """Return whether nothing is left to do, also because it was closed."""
        return not self.has_work

    def submit(self, request: TextRequest) -> None:
        if self.fail_submit is not None:
            raise self.fail_submit
        super().submit(request)

    def step(self) -> Sequence[TokenEvent]:
        if self.fail_step is not None:
            raise self.fail_step
        if self.hang is not None:
            self.hang.wait(30)
        return super().step()

    def cancel(self, request_id: RequestId) -> None:
        super().cancel(request_id)
        self.told.append("cancel")

    def tidy(self) -> None:
        self.told.append("tidy")
        if self.fail_tidy is not None:
            raise self.fail_tidy
        super().tidy()

    def close(self) -> None:
        self.told.append("close")
        super().close()


class World:
    """A model, and every engine that was made for it."""

    def __init__(
        self,
        options: NgramOptions,
        text: TextConfig,
        on_text: OnText | None,
        idle_s: float,
        queue: QueueConfig,
        path: Path,
    ) -> None:
        self._options = options
        self.engines: list[FaultyEngine] = []
        self.fail_make: Exception | None = None
        config = ModelConfig("faulty", path, EngineConfig("ngram"), queue=queue, text=text)
        self.model = TextModel(config, 1, self.make(), self.make, ModelStatistics(), on_text, idle_s)

    def make(self) -> FaultyEngine:
        if self.fail_make is not None:
            raise self.fail_make
        self.engines.append(FaultyEngine(self._options))
        return self.engines[-1]


@contextlib.asynccontextmanager
async def text_world(
    options: NgramOptions | None = None,
    text: TextConfig | None = None,
    on_text: OnText | None = None,
    idle_s: float = 1.0,
    queue: QueueConfig | None = None,
    path: Path = Path("model.toml"),
) -> AsyncIterator[World]:
    """Make a model and free it at the end."""
    world = World(options or NgramOptions(), text or TextConfig(), on_text, idle_s, queue or QueueConfig(), path)
    try:
        yield world
    finally:
        await asyncio.to_thread(world.model.close)


class Reader:
    """A receiver that keeps what it is told, and awaits the end."""

    def __init__(self, model: TextModel, wish: TextWish) -> None:
        self.begun: Begun | None = None
        self.events: list[tuple[int, TokenEvent]] = []
        self.error: HeklaError | None = None
        self.was_cancelled = False  # for the test to note
        self.on_token: Callable[[], None] | None = None
        self._left = len(wish.prompts) * wish.answers
        self._has_ended = asyncio.Event()
        self._has_token = asyncio.Event()
        self.ticket = model.start(wish, self)

    def on_begin(self, begun: Begun) -> None:
        assert self.begun is None
        self.begun = begun

    def on_event(self, index: int, event: TokenEvent) -> None:
        assert self.begun is not None, "told of before any token"
        self.events.append((index, event))
        self._left -= event.finish_reason is not None
        if self.on_token is not None:
            self.on_token()

    def on_flush(self) -> None:
        self._has_token.set()
        if not self._left:
            self._has_ended.set()

    def on_error(self, error: HeklaError) -> None:
        assert self.error is None
        self.error = error
        self._has_ended.set()
        self._has_token.set()

    async def text(self, index: int = 0) -> str:
        """Wait for the end; return an answer's text."""
        await asyncio.wait_for(self._has_ended.wait(), 30)
        assert self.error is None, self.error
        return "".join(event.text for at, event in self.events if at == index)

    async def ended(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait_for(self._has_ended.wait(), 30)

    async def failure(self) -> HeklaError:
        """Wait for the error."""
        await asyncio.wait_for(self._has_ended.wait(), 30)
        assert self.error is not None
        return self.error

    async def first_token(self) -> None:
        """Wait until something came."""
        await asyncio.wait_for(self._has_token.wait(), 30)

    @property
    def reasons(self) -> list[str]:
        """The finish reasons, in the order in which they came."""
        return [event.finish_reason for _, event in self.events if event.finish_reason is not None]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and other threads go on until something is true, for at most half a minute."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what another thread does sets no event of ours
            await asyncio.sleep(0.001)


def broken(message: str = "the pages are torn") -> EngineError:
    """Return what a broken engine raises."""
    return EngineError(message)
