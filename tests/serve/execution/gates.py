"""Stages and engines on real threads that wait at a gate until the test opens it; jobs that remember their end."""

import asyncio
import threading
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from tests.serve.execution.scripted import X, Y

from hekla.base.errors import HeklaError
from hekla.protocols.engine import Cancellation
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Tensors, TensorSpec
from hekla.serve.execution.executor import Executor
from hekla.serve.execution.job import Job
from hekla.serve.request import InferRequest, SequenceStep


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do; the test's own time limit ends a wait for ever."""
    while not is_so():  # noqa: ASYNC110 - the threads under test know of no event
        await asyncio.sleep(0)


class Gate:
    """Where a thread waits. `arrived` is a semaphore of the loop: each arrival may be awaited once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.arrived = asyncio.Semaphore(0)
        self._open = threading.Semaphore(0)
        self.inside = 0

    def wait(self) -> None:
        """Tell the loop and wait. On any thread but the loop's."""
        self._loop.call_soon_threadsafe(self._arrive)
        self._open.acquire()

    def let(self, count: int = 1) -> None:
        """Let so many pass."""
        self._open.release(count)

    def _arrive(self) -> None:
        self.inside += 1
        self.arrived.release()


class GateStage:
    """Adds its name to `path`; waits at its gate where it has one; raises where it is told to."""

    def __init__(self, name: str, gate: Gate | None = None, raises: BaseException | None = None) -> None:
        self.name, self.gate, self.raises = name, gate, raises
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()
        self.runs = 0

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: as the seam has it
        """Pass the values on."""
        self.runs += 1
        if self.gate is not None:
            self.gate.wait()
        if self.raises is not None:
            raise self.raises
        state["count"] = state.get("count", 0) + 1
        return {**values, "path": (*values.get("path", ()), self.name), "count": state["count"]}


class GateEngine:
    """y = 2 x, at its gate where it has one; raises what `failures` holds, one a call."""

    may_block = True

    def __init__(self, gate: Gate | None = None, failures: Sequence[HeklaError | None] = ()) -> None:
        self.inputs, self.outputs = (X,), (Y,)
        self.gate, self.failures = gate, list(failures)
        self.runs = 0
        self.is_closed = False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        """Double x."""
        self.runs += 1
        if self.gate is not None:
            self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


class Asked:
    """One job and what it ended with."""

    def __init__(
        self, executor: Executor, values: Values, step: SequenceStep | None = None, deadline_s: float | None = None
    ) -> None:
        request = InferRequest("m", values, sequence=step)
        self.job = Job(request, lambda _: None, 1, deadline_s, admitted=False, traced=True)
        self.ends: list[Values | HeklaError] = []
        self._ended = asyncio.Event()
        executor.start(values, self.job, self._end)

    def _end(self, result: Values | HeklaError) -> None:
        self.ends.append(result)
        self._ended.set()

    async def end(self) -> Values | HeklaError:
        """Wait for the end; it comes once."""
        await asyncio.wait_for(self._ended.wait(), 30)
        (result,) = self.ends
        return result

    async def values(self) -> Values:
        """Wait for values."""
        result = await self.end()
        assert not isinstance(result, HeklaError), result
        return result

    async def error(self) -> HeklaError:
        """Wait for an error."""
        result = await self.end()
        assert isinstance(result, HeklaError), result
        return result
