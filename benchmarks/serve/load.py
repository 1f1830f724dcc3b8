"""The load generator: closed loops, open loops, and a single checked exchange.

One process, one thread, prebuilt bytes. Latency runs from the write of a request (closed loop) or from the moment it
was due (open loop) to the last byte of its answer.
"""

import asyncio
import contextlib
import gc
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import uvloop

from benchmarks.serve.exchange import GRPC_PATH, Exchange
from benchmarks.serve.grpc import GrpcConnection, GrpcLane
from benchmarks.serve.http1 import HttpLane
from benchmarks.serve.traffic import DISCONNECTED, Code, Driver, Lane

_RECONNECT_AFTER_S = 0.02
_DRAIN_S = 10.0  # how long answers are waited for after the last request


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go."""

    port: int
    exchange: Exchange
    connections: int
    lanes: int = 1  # calls in flight per connection, gRPC alone

    @property
    def success(self) -> Code:
        return 0 if self.exchange.is_grpc else 200


@dataclass(slots=True)
class Measurement:
    """What came back while the window was open."""

    seconds: float
    success: Code
    latencies_s: Mapping[Code, Sequence[float]] = field(default_factory=dict)
    unsent: int = 0  # open loop: requests due that found every connection busy
    unanswered: int = 0  # still in flight when the wait for the last answers was given up
    uncounted: int = 0  # answers outside the window
    metered: float = 0.0  # by how much the meter rose
    client_cpu_s: float = 0.0  # what the load generator itself used

    @property
    def ok(self) -> int:
        return len(self.latencies_s.get(self.success, ()))

    @property
    def errors(self) -> dict[Code, int]:
        return {code: len(times) for code, times in self.latencies_s.items() if code != self.success}

    @property
    def per_second(self) -> float:
        return self.ok / self.seconds

    def percentile_ms(self, percent: float, code: Code | None = None) -> float:
        """Return a percentile of the latency of answers with a code (success if None); NaN without any."""
        times = self.latencies_s.get(self.success if code is None else code)
        return float(np.percentile(times, percent)) * 1e3 if times else float("nan")


class _Loop:
    """What both loops share: lanes that come and go, answers that are timed while the window is open."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: set[int] = set()
        self._transports: list[asyncio.BaseTransport] = []
        self._all_closed = asyncio.Event()
        self.latencies_s: dict[Code, array[float]] = {}
        self.in_flight = 0
        self.uncounted = 0
        self.is_counting = False
        self.due_from_s = 0.0  # answers to requests that were due before this are not counted
        self.is_over = False
        self.open_lanes = 0
        self.all_open = asyncio.Event()
        self.drained = asyncio.Event()

    async def connect(self, driver: Driver) -> None:
        """Open one connection and hand its lanes to the driver."""
        self._transports.append(await connect(self._target, driver))

    async def close(self) -> None:
        """Close every connection and wait until the loop has let go of it."""
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            cast(asyncio.WriteTransport, transport).abort()  # uvloop's do not descend from asyncio's
        if self.open_lanes:
            await self._all_closed.wait()

    def note_opened(self) -> None:
        self.open_lanes += 1
        if self.open_lanes >= self._target.connections * self._target.lanes:
            self.all_open.set()

    def note(self, lane: Lane, code: Code, now_s: float) -> None:
        """Count an answer."""
        if self.is_counting and lane.sent_s >= self.due_from_s:
            times = self.latencies_s.get(code)
            if times is None:
                times = self.latencies_s[code] = array("d")
            times.append(now_s - lane.sent_s)
        else:
            self.uncounted += 1

    def note_idle(self) -> None:
        self.in_flight -= 1
        if self.is_over and not self.in_flight:
            self.drained.set()

    def lost(self, lane: Lane, is_waiting: bool, driver: Driver) -> None:
        """Count a broken connection and open another; a connection's lanes all report, one of them reconnects."""
        self.open_lanes -= 1
        if is_waiting:
            self.note(lane, DISCONNECTED, time.perf_counter())
            self.note_idle()
        if self.is_over:
            if not self.open_lanes:
                self._all_closed.set()
            return
        if isinstance(lane, GrpcLane):
            key = id(lane.connection)
            if key in self._lost:
                return
            self._lost.add(key)
        task = self._loop.create_task(self._reconnect(driver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reconnect(self, driver: Driver) -> None:
        while not self.is_over:
            await asyncio.sleep(_RECONNECT_AFTER_S)
            with contextlib.suppress(OSError):
                await self.connect(driver)
                return


class ClosedLoop(_Loop):
    """Every lane sends its next request when its last one was answered."""

    def opened(self, lane: Lane) -> None:
        self.note_opened()
        self.in_flight += 1
        lane.sent_s = time.perf_counter()
        lane.send()

    def answered(self, lane: Lane, code: Code) -> None:
        now = time.perf_counter()
        self.note(lane, code, now)
        if self.is_over:
            self.note_idle()
        else:
            lane.sent_s = now
            lane.send()

    def closed(self, lane: Lane, is_waiting: bool) -> None:
        self.lost(lane, is_waiting, self)


class OpenLoop(_Loop):
    """Requests fall due at a fixed rate, whatever became of the ones before."""

    def __init__(self, target: Target, rate: float) -> None:
        super().__init__(target)
        self._interval_s = 1 / rate
        self._idle: deque[Lane] = deque()
        self._due_s = 0.0
        self.unsent = 0

    def start(self) -> None:
        """Begin to send."""
        self._due_s = time.perf_counter()
        self._send_due()

    def _send_due(self) -> None:
        if self.is_over:
            return
        now = time.perf_counter()
        while self._due_s <= now:
            if self._idle:
                lane = self._idle.popleft()
                lane.sent_s = self._due_s
                self.in_flight += 1
                lane.send()
            elif self.is_counting and self._due_s >= self.due_from_s:
                self.unsent += 1
            self._due_s += self._interval_s
        self._loop.call_later(max(self._due_s - now, 0.001), self._send_due)

    def opened(self, lane: Lane) -> None:
        self.note_opened()
        self._idle.append(lane)

    def answered(self, lane: Lane, code: Code) -> None:
        self.note(lane, code, time.perf_counter())
        self._idle.append(lane)
        self.note_idle()

    def closed(self, lane: Lane, is_waiting: bool) -> None:
        if not is_waiting and lane in self._idle:
            self._idle.remove(lane)
        self.lost(lane, is_waiting, self)


class _Once:
    """Sends one request and keeps its answer."""

    def __init__(self) -> None:
        self.code: asyncio.Future[tuple[Lane, Code]] = asyncio.get_running_loop().create_future()
        self.is_closed = asyncio.Event()

    def opened(self, lane: Lane) -> None:
        lane.send()

    def answered(self, lane: Lane, code: Code) -> None:
        if not self.code.done():
            self.code.set_result((lane, code))

    def closed(self, lane: Lane, is_waiting: bool) -> None:
        self.is_closed.set()
        if not self.code.done():
            self.code.set_exception(ConnectionError("the server closed the connection before it answered"))


async def connect(target: Target, driver: Driver, *, keeps_body: bool = False) -> asyncio.BaseTransport:
    """Open one connection of a target."""
    exchange = target.exchange
    make: Callable[[], asyncio.Protocol]
    if exchange.is_grpc:
        make = lambda: GrpcConnection(  # noqa: E731  # two factories of one type; a def each would say no more
            driver, GRPC_PATH, exchange.request, lanes=target.lanes, keeps_body=keeps_body
        )
    else:
        make = lambda: HttpLane(driver, exchange.request, keeps_body)  # noqa: E731
    transport, _ = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", target.port)
    return transport


async def _ask(target: Target, timeout_s: float) -> tuple[Code, bytes, bytes]:
    once = _Once()
    transport = await connect(target, once, keeps_body=True)
    try:
        lane, code = await asyncio.wait_for(once.code, timeout_s)
    finally:
        transport.close()
        await once.is_closed.wait()
    if isinstance(lane, HttpLane):
        return code, lane.reader.head, bytes(lane.reader.body)
    assert isinstance(lane, GrpcLane)
    return code, b"", bytes(lane.body)


def ask(port: int, exchange: Exchange, timeout_s: float = 60.0) -> tuple[bytes, bytes]:
    """Send one request, return its answer for `exchange.decode`: the HTTP head (b"" for gRPC) and the body.

    Errors: ConnectionError if the answer is no success; OSError, TimeoutError.
    """
    target = Target(port, exchange, connections=1)
    code, head, body = uvloop.run(_ask(target, timeout_s))
    if code != target.success:
        raise ConnectionError(f"status {code}: {body[:500]!r}")
    return head, body


async def _drive(
    loop: ClosedLoop | OpenLoop, target: Target, warm_up_s: float, seconds: float, meter: Callable[[], float]
) -> Measurement:
    # A collection in the middle of a measurement would count as the server's latency.
    gc.collect()
    gc.disable()
    try:
        return await _measure(loop, target, warm_up_s, seconds, meter)
    finally:
        gc.enable()
        loop.is_over = True
        await loop.close()


async def _measure(
    loop: ClosedLoop | OpenLoop, target: Target, warm_up_s: float, seconds: float, meter: Callable[[], float]
) -> Measurement:
    for _ in range(target.connections):  # one by one: a burst overflows some servers' queue of connections
        await loop.connect(loop)
    await asyncio.wait_for(loop.all_open.wait(), 30)
    if isinstance(loop, OpenLoop):
        loop.start()
    await asyncio.sleep(warm_up_s)
    metered, cpu_s = meter(), time.process_time()
    loop.is_counting = True
    start = time.perf_counter()
    if isinstance(loop, OpenLoop):
        loop.due_from_s = start
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - start
    metered, cpu_s = meter() - metered, time.process_time() - cpu_s
    loop.is_counting = isinstance(loop, OpenLoop)  # its late answers belong to requests that were due in the window
    loop.is_over = True
    if loop.in_flight:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.drained.wait(), _DRAIN_S)
    unsent = loop.unsent if isinstance(loop, OpenLoop) else 0
    return Measurement(
        elapsed, target.success, loop.latencies_s, unsent, loop.in_flight, loop.uncounted, metered, cpu_s
    )


def _nothing() -> float:
    return 0.0


def run_closed(
    target: Target, *, warm_up_s: float, seconds: float, meter: Callable[[], float] = _nothing
) -> Measurement:
    """Keep every lane of a target busy and measure for some seconds after a warm-up.

    `meter` is read when the window opens and when it closes: the server's CPU time, say.
    Errors: OSError if the server cannot be reached; TimeoutError if it accepts no connection.
    """

    async def main() -> Measurement:
        return await _drive(ClosedLoop(target), target, warm_up_s, seconds, meter)

    return uvloop.run(main())


def run_open(
    target: Target, rate: float, *, warm_up_s: float, seconds: float, meter: Callable[[], float] = _nothing
) -> Measurement:
    """Send `rate` requests a second, come what may, and measure for some seconds after a warm-up.

    Latency runs from when a request was due. Errors: as `run_closed`.
    """

    async def main() -> Measurement:
        return await _drive(OpenLoop(target, rate), target, warm_up_s, seconds, meter)

    return uvloop.run(main())
