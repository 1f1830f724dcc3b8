"""The seam inside the package for whatever guesses tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hekla.llm.sampling_state import SamplingState
from hekla.protocols.text_engine import RequestId


@dataclass(frozen=True, slots=True)
class Guess:
    """What is to be guessed: at most `most` tokens after `tokens`, which must not be changed."""

    request_id: RequestId
    tokens: list[int]
    most: int
    state: SamplingState


class Drafter(Protocol):
    """Guesses. One thread at a time."""

    def propose(self, guesses: Sequence[Guess]) -> Sequence[list[int]]:
        """Return guesses for each, in order; [] where there is nothing to say."""

    def forget(self, request_id: RequestId) -> None:
        """A request ended; an unknown one is nothing."""

    def close(self) -> None:
        """Free everything."""
