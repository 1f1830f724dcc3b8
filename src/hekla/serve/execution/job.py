"""One request inside a served model: its limits, its state, its times, and how to stop it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from hekla.base.errors import CancelledError, DeadlineError, HeklaError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array
from hekla.serve.request import Done, InferRequest

# How an executor hands over what came of a job: called once, on the event loop.
OnEnd = Callable[[Values | HeklaError], None]


class Job:
    """What every step of one request shares. Owned by the event loop; `state` is lent to one stage at a time.

    It is also the ticket a door holds: `cancel` stops the step that runs and nothing is handed over any more.
    """

    __slots__ = (
        "admitted",
        "cancelled",
        "deadline_s",
        "done",
        "ended",
        "outputs",
        "priority",
        "request",
        "rows",
        "spans",
        "state",
        "stop",
        "tensors",
        "timer",
    )

    def __init__(
        self,
        request: InferRequest,
        done: Done,
        priority: int,
        deadline_s: float | None,
        admitted: bool,
        traced: bool = False,
    ) -> None:
        self.request, self.done = request, done
        self.priority, self.deadline_s, self.admitted = priority, deadline_s, admitted
        self.outputs: tuple[str, ...] = request.outputs  # what the engine is asked for; () for all
        self.rows = 1
        self.state: dict[str, Any] = {}  # of the request's sequence, for its stages
        self.tensors: dict[str, Array] | None = None  # of the request's sequence, for its engine
        # (stage, start, end) in seconds of time.monotonic(); None where nobody will look at them.
        self.spans: list[tuple[str, float, float]] | None = [] if traced else None
        self.stop: Callable[[], None] | None = None  # how to stop the step that runs now
        self.cancelled = False
        self.ended = False  # answered; what its executor still hands over is dropped
        self.timer: asyncio.TimerHandle | None = None  # of the deadline, where no engine's queue watches it

    def refusal(self) -> HeklaError | None:
        """Return why no further step should cost anything: the caller went away, or the time allowed is over."""
        if self.cancelled:
            return CancelledError("the caller went away")
        if self.deadline_s is not None and self.deadline_s <= time.monotonic():
            return self.too_late()
        return None

    def too_late(self) -> DeadlineError:
        """Return the error of a job whose deadline is over."""
        limit_ms = ((self.deadline_s or 0.0) - self.request.received_s) * 1e3
        return DeadlineError(f"no answer within {limit_ms:.0f} ms", cure="allow more time, or send less at once")

    def cancel(self) -> None:
        """Stop the work: the step that runs ends with CancelledError, and `done` is not called."""
        if not self.cancelled:
            self.cancelled = True
            if self.stop is not None:
                self.stop()
