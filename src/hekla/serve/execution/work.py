"""One validated request on its way through a batcher."""

import asyncio
import logging
from collections.abc import Callable

from hekla.base.errors import HeklaError
from hekla.protocols.tensor import Tensors

# What becomes of it: the outputs, or the error. Called once, on the event loop.
Finished = Callable[["Work", Tensors | HeklaError], None]

_log = logging.getLogger(__name__)


class Work:
    """Inputs, limits and times (seconds of time.monotonic()) of one request. Owned by the event loop."""

    __slots__ = (
        "arrived_s",
        "deadline_s",
        "ended_s",
        "finished",
        "inputs",
        "key",
        "lengths",
        "on_closed",
        "on_finished",
        "outputs",
        "priority",
        "retried",
        "rows",
        "started_s",
        "timer",
    )

    def __init__(
        self,
        inputs: Tensors,
        outputs: tuple[str, ...],
        rows: int,
        key: object,
        lengths: tuple[int, ...],
        priority: int,
        arrived_s: float,
        deadline_s: float | None,
        on_finished: Finished,
    ) -> None:
        self.inputs, self.outputs, self.rows, self.key, self.lengths = inputs, outputs, rows, key, lengths
        self.priority, self.arrived_s, self.deadline_s = priority, arrived_s, deadline_s
        self.on_finished = on_finished
        self.started_s = self.ended_s = 0.0  # of the engine call; 0 before it
        self.finished = False
        self.retried = False  # an engine died under it once already
        self.timer: asyncio.TimerHandle | None = None
        self.on_closed: Callable[[], None] | None = None  # set while an engine call it is part of runs

    def finish(self, result: Tensors | HeklaError) -> None:
        """Hand the result over, unless that has happened or the caller went away. Never raises."""
        if not self.finished:
            self.close()
            try:
                self.on_finished(self, result)
            # A request's boundary: its neighbours in the batch still wait for their answers.
            except Exception:  # noqa: BLE001 - logged with its trace
                _log.exception("an answer could not be handed over")

    def close(self) -> None:
        """Forget the caller: nothing will be handed over any more."""
        self.finished = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.on_closed is not None:
            self.on_closed()
