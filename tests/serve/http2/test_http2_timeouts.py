"""Coarse timers, and allowances."""

import asyncio

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
