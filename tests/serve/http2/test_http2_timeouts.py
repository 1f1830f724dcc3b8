"""Coarse timers, and allowances."""

import asyncio
from collections.abc import Callable

import pytest

from hekla.serve.http2.allowance import Allowance
from hekla.serve.http2.frames import ConnectionFault
from hekla.serve.http2.timeouts import Timeouts


class Bell:
    """Says that it rang, and when all have."""

    def __init__(self, rung: list["Bell"], done: asyncio.Event, last: int) -> None:
        self.rung, self.done, self.last = rung, done, last

    def on_timeout(self) -> None:
        self.rung.append(self)
        if len(self.rung) == self.last:
            self.done.set()


def test_timeouts_ring_in_order_and_those_dropped_do_not() -> None:
    async def ring() -> None:
        loop = asyncio.get_running_loop()
        timeouts = Timeouts(loop)
        rung: list[Bell] = []
        done = asyncio.Event()
        bells = [Bell(rung, done, 3) for _ in range(5)]
        after_s = [0.04, 0.001, 0.02, 0.001, 100.0]
        begin_s = loop.time()
        buckets = [timeouts.add(bell, after) for bell, after in zip(bells, after_s, strict=True)]
        buckets[3].discard(bells[3])
        await asyncio.wait_for(done.wait(), 20)
        assert rung == [bells[1], bells[2], bells[0]]
        assert loop.time() - begin_s >= 0.04
        timeouts.close()

    asyncio.run(ring())


class RecordingLoop:
    """Keeps the delays it is asked for."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []
        self.cancelled = 0

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Never asked for."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> "RecordingLoop":
        self.delays_s.append(delay)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def test_an_earlier_timeout_moves_the_one_timer_forward() -> None:
    loop = RecordingLoop()
    timeouts = Timeouts(loop)
    for after_s in (50.0, 60.0, 10.0, 10.0):
        timeouts.add(Bell([], asyncio.Event(), 1), after_s)
    assert [round(delay) for delay in loop.delays_s] == [50, 10]
    timeouts.close()
    assert loop.cancelled == 2


def test_an_allowance_comes_back_with_time() -> None:
    now_s = [0.0]
    allowance = Allowance("things", 3, 2.0, lambda: now_s[0])
    for _ in range(3):
        allowance.spend()
    with pytest.raises(ConnectionFault, match="too many things"):
        allowance.spend()
    now_s[0] = 10.0
    for _ in range(3):
        allowance.spend()
    now_s[0] = 11.0
    allowance.spend()
