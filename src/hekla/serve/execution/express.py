"""The short way through a served model: a batch of like requests, to the engine and back in one call.

A tiny model's request costs more on its way to the engine than in it. So a door that has several requests of one
shape may join them itself and hand over the batch: no work, job or queue place is made for each. This way is open
only where nothing is lost by it: a plain engine (no stage, sequence, deadline or trace), whose rows all have one shape,
whose calls are short enough for the event loop, and which is idle with nothing waiting. Whatever goes wrong, the
door sends each request the ordinary way, which finds out whose fault it was.
"""

import time
from collections.abc import Sequence

from hekla.base.errors import HeklaError
from hekla.protocols.tensor import Tensors
from hekla.serve.execution.engine_executor import EngineExecutor
from hekla.serve.execution.instance import Ran
from hekla.serve.request import Signature
from hekla.serve.served_model import ServedModel

_SHUT_FOR = 256  # requests: joining them only to find that the engine is not to be run at once is work for nothing


class Express:
    """The short way through one version of a model. Lives on the event loop."""

    def __init__(self, model: ServedModel, executor: EngineExecutor) -> None:
        self._model, self._batcher, self._statistics = model, executor.batcher, model.statistics
        self.max_rows = model.config.batching.max_batch
        self.version = str(model.version)
        self._shut_for = 0  # requests, since a batch could not be run at once
        self._ran: Ran | None = None  # what was run and is not answered yet

    @property
    def is_current(self) -> bool:
        """False once the model is no longer served: ask for its successor's way."""
        return not self._model.is_retired

    def has_checked(self, signature: Signature) -> bool:
        """True if the model found that requests of this signature fit what it takes."""
        return signature.checked_by is self._model

    def enter(self) -> bool:
        """Let one request in, if the way is open; it must be answered or leave before the loop turns twice."""
        if self._shut_for:
            self._shut_for -= 1
            return False
        model = self._model
        if model.is_retired or not self._batcher.is_open(model.in_flight):
            return False
        model.enter(1)
        return True

    def leave(self, requests: int) -> None:
        """Note that requests that came in go the ordinary way instead."""
        if self._ran is not None:  # for nothing: its outputs were not what an answer is made of
            self._ran, self._shut_for = None, _SHUT_FOR
        self._model.leave(requests)

    def run(self, inputs: Tensors, rows: int, copied_bytes: int) -> Tensors | None:
        """Return the outputs for the joined rows of requests that came in; `copied_bytes` were copied to join them.

        None if the way was closed meanwhile or the call failed. The requests must be `answered` or `leave` next.
        """
        if copied_bytes:
            self._statistics.bytes_copied["join"] += copied_bytes
        ran = self._batcher.run_at_once(inputs, rows)
        if ran is None:
            if self._batcher.is_too_slow(rows):
                self._shut_for = _SHUT_FOR
            return None
        if isinstance(ran.result, HeklaError):
            return None
        self._ran = ran
        return ran.result

    def answered(self, rows: int, received_s: Sequence[float]) -> None:
        """Count the requests of the last `run`, which came in at these times, as answered: they leave."""
        ran, self._ran = self._ran, None
        assert ran is not None
        self._model.leave(len(received_s))
        now = time.monotonic()
        statistics = self._statistics
        statistics.compute_s.observe(ran.ended_s - ran.started_s, len(received_s))
        statistics.queue_s.observe_all([ran.started_s - at_s for at_s in received_s])
        statistics.all_succeeded(rows, [now - at_s for at_s in received_s], int(time.time() * 1e3))


def express_through(model: ServedModel) -> Express | None:
    """Return the short way through a model, None for one that has none."""
    executor = model.executor
    if not isinstance(executor, EngineExecutor) or not model.is_plain or not executor.is_uniform:
        return None
    return Express(model, executor)
