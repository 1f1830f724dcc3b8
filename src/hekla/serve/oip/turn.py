"""The requests of one turn of the event loop, answered in batches: what REST's and gRPC's short ways share.

Nothing is decided here for a request that is not as expected: it, and all that shared its batch, go the ordinary way,
one by one, and get the answer or the error that they would have got alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from hekla.protocols.tensor import Array, Tensors
from hekla.serve.service import Express

_TURN_S = 2e-3  # so long may batches hold the event loop before it looks at its sockets again
_log = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class KnownAnswer(Protocol):
    """How one request was answered: with one tensor."""

    @property
    def version(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> "np.dtype[Any]": ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Turn(Generic[Request, Answer]):
    """Requests that came in this turn of the loop, each of so many rows, and how one door handles them.

    answers: the answers to requests that entered, None if they must go the ordinary way. ordinary: never raises.
    """

    def __init__(
        self,
        express: Express,
        model: str,
        rows: int,
        *,
        answers: Callable[[Sequence[Request]], Sequence[Answer] | None],
        respond: Callable[[Request, Answer], None],
        ordinary: Callable[[Request], None],
        received_s: Callable[[Request], float],
    ) -> None:
        self.most = express.max_rows // rows if rows else 0  # requests of one batch
        self._express, self._model, self._rows = express, model, rows
        self._answers, self._respond, self._ordinary, self._received_s = answers, respond, ordinary, received_s
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        """Queue a request that entered for the batch of this turn."""
        self._waiting.append(request)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def array_of(
        self, outputs: Tensors | None, answer: KnownAnswer | None, requests: int, *, is_only: bool
    ) -> Array | None:
        """Return the array that answers so many requests, each as `answer` says; None if it is not as expected.

        is_only: a model that gives other outputs too is not.
        """
        if outputs is None or answer is None or answer.version != self._express.version:
            return None
        array = outputs.get(answer.name)
        if array is None or (is_only and len(outputs) != 1):
            return None
        shape = (self._rows * requests, *answer.shape[1:])
        is_as_known = answer.shape[:1] == (self._rows,) and array.shape == shape and array.dtype == answer.dtype
        return array if is_as_known else None

    def _flush(self) -> None:
        until_s = time.monotonic() + _TURN_S
        while self._waiting:
            batch = self._waiting[: self.most]
            del self._waiting[: self.most]
            try:
                answers = self._answers(batch)
            # A boundary: nobody stays unanswered because of it.
            except Exception:  # noqa: BLE001 - logged with its trace
                _log.exception("a batch of model %s could not be answered at once", self._model)
                answers = None
            if answers is None:
                self._express.leave(len(batch))
                for request in batch:
                    self._ordinary(request)
            else:
                self._express.answered(self._rows * len(batch), list(map(self._received_s, batch)))
                for request, answer in zip(batch, answers, strict=True):
                    try:
                        self._respond(request, answer)
                    # A request's boundary: the others of its batch do not suffer.
                    except Exception:  # noqa: BLE001 - logged with its trace
                        _log.exception("an answer could not be handed over")
            if self._waiting and time.monotonic() > until_s:
                asyncio.get_running_loop().call_soon(self._flush)
                return
