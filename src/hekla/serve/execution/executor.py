"""What carries a job out: an engine behind its batcher, stages around it, a graph of models, a sequence in order."""

from typing import Protocol

from hekla.protocols.stage import Values
from hekla.protocols.tensor import TensorSpec
from hekla.serve.execution.job import Job, OnEnd


class Executor(Protocol):
    """One way to answer. Lives on the event loop."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a client sends."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What a client can ask for."""

    @property
    def is_ready(self) -> bool:
        """True while a request could be answered now: its engines are alive."""

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Begin; `on_end` is called once with the values or the error, maybe before this returns.

        A job whose `cancel` was called ends with CancelledError as soon as the step that runs can be stopped.
        """

    async def drain(self) -> None:
        """Wait until everything started has ended."""

    def close(self) -> None:
        """Free engines and threads. May wait; called off the event loop, after `drain`."""
