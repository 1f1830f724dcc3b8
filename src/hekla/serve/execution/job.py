"""One request inside a served model: its limits, its state, its times, and how to stop it."""

from collections.abc import Callable
from typing import Any

from hekla.base.errors import HeklaError
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
        "outputs",
        "priority",
        "request",
        "rows",
        "spans",
        "state",
        "stop",
        "tensors",
    )

    def __init__(
        self,
        request: InferRequest,
        done: Done,
        priority: int,
        deadline_s: float | None,
        admitted: bool,
    ) -> None:
        self.request, self.done = request, done
        self.priority, self.deadline_s, self.admitted = priority, deadline_s, admitted
        self.outputs: tuple[str, ...] = request.outputs  # what the engine is asked for; () for all
        self.rows = 1
        self.state: dict[str, Any] = {}  # of the request's sequence, for its stages
        self.tensors: dict[str, Array] | None = None  # of the request's sequence, for its engine
        self.spans: list[tuple[str, float, float]] = []  # (stage, start, end) in seconds of time.monotonic()
        self.stop: Callable[[], None] | None = None  # how to stop the step that runs now
        self.cancelled = False

    def cancel(self) -> None:
        """Stop the work: the step that runs ends with CancelledError, and `done` is not called."""
        if not self.cancelled:
            self.cancelled = True
            if self.stop is not None:
                self.stop()
