"""A batcher, scripted engines and requests that remember what they were told; the rules every batcher keeps."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from tests.serve.execution.scripted import ScriptedInstance, X, Y, config_of
from tests.serve.execution.virtual_time import VirtualTimeLoop, settle

from hekla.base.errors import HeklaError, OverloadedError
from hekla.protocols.tensor import Tensors
from hekla.serve.config import BatchingConfig, QueueConfig
from hekla.serve.execution.batcher import Batcher
from hekla.serve.execution.instance import Instance
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.work import Work
from hekla.serve.observe.statistics import ModelStatistics


class Asked:
    """One request: its number is the value of its rows, so that batches tell who is in them."""

    def __init__(self, number: int, x: NDArray[np.float32], priority: int, deadline_s: float | None) -> None:
        self.number, self.x, self.priority, self.deadline_s = number, x, priority, deadline_s
        self.told: list[Tensors | HeklaError] = []
        self.was_cancelled = self.was_refused = False
        self.work: Work | None = None

    @property
    def error(self) -> HeklaError | None:
        """The error it was told, if it was."""
        (told,) = self.told
        return told if isinstance(told, HeklaError) else None

    @property
    def is_good(self) -> bool:
        """False if engines fail of it."""
        return bool((self.x >= 0).all())


class World:
    """Everything around one batcher."""

    def __init__(
        self, loop: VirtualTimeLoop, batching: BatchingConfig, queue: QueueConfig | None = None, instances: int = 1
    ) -> None:
        self.loop, self.batching = loop, batching
        self.statistics = ModelStatistics()
        self.layout = BatchLayout((X,), (Y,), batching, "m")
        self.instances = [ScriptedInstance(loop) for _ in range(instances)]
        self.missing = 0  # engines that died and were not replaced yet
        self.asked: list[Asked] = []
        self.batcher = Batcher(
            config_of(batching, queue), self.layout, self.instances, self.statistics, self._lost, loop.time
        )

    def _lost(self, instance: Instance) -> None:
        self.missing += 1

    def ask(
        self, rows: int = 1, width: int = 1, priority: int = 2, timeout_s: float | None = None, *, bad: bool = False
    ) -> Asked:
        """Submit a request."""
        number = len(self.asked) + 1
        x = np.full((rows, width), -number if bad else number, np.float32)
        now = self.loop.time()
        asked = Asked(number, x, priority, now + timeout_s if timeout_s is not None else None)
        self.asked.append(asked)
        count, key, lengths = self.layout.describe({"x": x})
        work = Work(
            {"x": x}, (), count, key, lengths, priority, now, asked.deadline_s, lambda _, told: asked.told.append(told)
        )
        try:
            self.batcher.submit(work)
        except OverloadedError:
            asked.was_refused = True
        else:
            asked.work = work
        return asked

    def cancel(self, asked: Asked) -> None:
        """Let its caller go away."""
        if asked.work is not None:
            asked.was_cancelled = asked.was_cancelled or not asked.told
            self.batcher.cancel(asked.work)

    def called(self) -> list[ScriptedInstance]:
        """The engines with an open call that somebody waits for."""
        return [instance for instance in self.instances if instance.is_called and not instance.lost]

    def replace(self) -> None:
        """Put an engine in place of one that died."""
        assert self.missing
        self.missing -= 1
        self.instances.append(ScriptedInstance(self.loop))
        self.batcher.instance_ready(self.instances[-1])

    async def finish(self) -> None:
        """End every call, replace every engine, until all is answered."""
        await settle()
        while self.missing or self.called():
            while self.missing:
                self.replace()
            for instance in self.called():
                instance.end()
            await settle()
        await self.batcher.drain()

    def check_no_idle_engine_waits(self) -> None:
        """An engine may be idle beside waiting requests only while another one runs and their delay is not over."""
        free = [i for i in self.batcher.instances() if not i.busy]
        if free and self.statistics.waiting:
            assert self.called(), "all engines are idle, and somebody waits"
            assert self.batching.max_delay_us > 0

    def check_all_answered_once(self) -> None:
        """Each request was told one thing, if it was let in; nobody waits."""
        for asked in self.asked:
            assert len(asked.told) == (0 if asked.was_refused else 1), (asked.number, asked.told)
        assert self.statistics.waiting == 0

    def check_answers(self) -> None:
        """Who was answered got twice its own rows."""
        for asked in self.asked:
            if asked.told and not isinstance(asked.told[0], HeklaError):
                np.testing.assert_array_equal(asked.told[0]["y"], asked.x * 2)

    def check_batches(self) -> None:
        """No batch is too large; equals begin in the order they came."""
        begun: dict[tuple[int, int], list[int]] = defaultdict(list)
        for instance in self.instances:
            for batch in instance.batches:
                assert len(batch) <= max(self.batching.max_batch, 1) or self.batching.max_batch == 1
        for number in self.order():
            asked = self.asked[number - 1]
            begun[asked.priority, asked.x.shape[1]].append(number)
        if len(self.instances) == 1:  # with several the order between them is not recorded
            for numbers in begun.values():
                assert numbers == sorted(numbers)

    def order(self) -> list[int]:
        """The numbers of the requests in the order in which the first engine saw them first."""
        seen = [int(abs(value)) for batch in self.instances[0].batches for value in batch[:, 0]]
        return list(dict.fromkeys(seen))
