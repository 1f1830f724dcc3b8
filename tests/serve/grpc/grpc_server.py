"""A gRPC door on a port of its own, its loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvloop
from tests.serve.grpc.add_sub_service import AddSubService

from hekla.serve.grpc.door import GrpcDoor
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.server import grpc_protocol_factory
from hekla.serve.oip.shared_memory import SharedMemoryRegions

Result = TypeVar("Result")


@dataclass
class RunningServer:
    """A server that listens."""

    service: AddSubService
    door: GrpcDoor
    regions: SharedMemoryRegions
    loop: asyncio.AbstractEventLoop
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def on_loop(self, work: Callable[[], Result]) -> Result:
        """Call something on the server's loop and wait for it."""
        future: Future[Result] = Future()
        self.loop.call_soon_threadsafe(lambda: future.set_result(work()))
        return future.result(20)

    def run(self, work: Coroutine[None, None, Result]) -> Result:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@contextmanager
def running_server(limits: GrpcLimits) -> Iterator[RunningServer]:
    """Serve until the block ends."""
    ready: Future[tuple[RunningServer, asyncio.Event]] = Future()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        service = AddSubService(loop)
        regions = SharedMemoryRegions()
        door = grpc_protocol_factory(service, regions, limits)
        listener = await loop.create_server(door, "127.0.0.1", 0)
        ready.set_result((RunningServer(service, door, regions, loop, listener.sockets[0].getsockname()[1]), stopped))
        await stopped.wait()
        listener.close()
        await door.drain(0.2)
        regions.unregister()

    thread = threading.Thread(target=uvloop.run, args=(serve(),))
    thread.start()
    server, stopped = ready.result(20)
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(stopped.set)
        thread.join(20)
    assert not thread.is_alive()
