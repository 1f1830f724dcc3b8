"""Work beside the event loop that may never end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from hekla.base.errors import EngineError

Result = TypeVar("Result")


async def run_aside(call: Callable[[], Result]) -> Result:
    """Return what the call returns, made on a daemon thread of its own; raise what it raises.

    Not a thread pool's: Python waits for those when the process ends, and a load that hangs would hold the server's end
    up for ever. For calls that take milliseconds or more; a thread costs about 0.1 ms.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error there is a result

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001 - a thread's boundary: it is raised again where it is awaited
            error = raised
        except SystemExit as raised:  # somebody's code ended its thread, which must not end the server
            error = EngineError(f"SystemExit: {raised}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="hekla-aside", daemon=True).start()
    return await future
