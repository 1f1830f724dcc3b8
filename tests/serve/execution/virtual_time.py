"""An event loop whose clock jumps: when nothing is left to do now, it is already later. Tests with it never wait."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on one thread; what waits for another thread would wait for ever and is an error here."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now


class _Jump(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise AssertionError("everybody waits and nothing will ever happen")
            self._loop.now += max(timeout, 0)
        return found


def run_virtually(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Return what `main(loop)` returns, run on a virtual clock. What a callback raises is raised here."""
    raised: list[Mapping[str, Any]] = []  # Any: asyncio's own contexts
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.set_exception_handler(lambda _, context: raised.append(context))
        result = runner.run(main(loop))
    for context in raised:
        raise context.get("exception") or AssertionError(context["message"])
    return result


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(6):
        await asyncio.sleep(0)
