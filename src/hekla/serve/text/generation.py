"""One API request inside a model that writes text."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hekla.base.errors import HeklaError
from hekla.protocols.text_engine import RequestId, TextRequest
from hekla.serve.text.timeline import Timeline
from hekla.serve.text.wish import Receiver, TextWish

# Called when a request has ended, where requests are traced.
OnText = Callable[["Generation", HeklaError | None], None]


class TextTicket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Stop the work for a client that went away; nothing is told any more."""


class Canceller(Protocol):
    """Who stops a request: its model."""

    @property
    def name(self) -> str: ...

    def cancel(self, generation: "Generation") -> None: ...


class Generation:
    """One API request inside the model: up to `answers` for each of its prompts, and who is told."""

    def __init__(self, model: Canceller, wish: TextWish, receiver: Receiver, ids: Sequence[RequestId]) -> None:
        self.wish, self.ids, self.model_name = wish, ids, model.name
        self.requests: Sequence[TextRequest] = ()  # once the prompts are prepared
        self.timelines: list[Timeline] = [Timeline() for _ in ids]
        self.sent: list[tuple[float, float]] = []  # of a traced request: when tokens were sent, and how long it took
        self.is_cancelled = self.is_accepted = self.has_ended = False
        self.left = len(ids)  # answers that are not whole
        self.receiver = receiver
        self._model = model

    def cancel(self) -> None:
        """Stop the work."""
        self._model.cancel(self)
