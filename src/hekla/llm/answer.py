"""One request while the engine answers it."""

import math
from dataclasses import dataclass

from hekla.base.errors import HeklaError
from hekla.llm.grammar import GrammarState
from hekla.llm.language import AnswerText
from hekla.llm.runner import StepResult
from hekla.llm.sampling_state import SamplingState
from hekla.llm.sequence import Chunk, Sequence
from hekla.protocols.text_engine import FinishReason, TextRequest, TokenEvent, TokenLogprob

_UNLUCKY = 0.2
_RETRY_TOKENS = 16


@dataclass(slots=True, eq=False)
class Answer:
    """What the engine keeps of a request beside what the scheduler does."""

    request: TextRequest
    sequence: Sequence
    state: SamplingState
    text: AnswerText
    grammar: GrammarState | None
    end_tokens: frozenset[int]
    started_s: float | None = None  # when it first ran
    waited_s: float = 0.0  # from when it was received until it first ran
    prefill_s: float = 0.0  # of steps since its last token
    answer_tokens: int = 0
    luck: float = 1.0  # how many guesses came true lately, of those checked

    def guesses_worth(self, most: int) -> int:
        """Return how many tokens are worth guessing: checking is not free. Without luck: some, now and then."""
        if self.luck < _UNLUCKY:
            return most if self.answer_tokens % _RETRY_TOKENS == 0 else 0
        return math.ceil(most * self.luck)

    def guessed(self, checked: int, right: int) -> None:
        """Note what became of guesses."""
        if checked:
            self.luck += (right / checked - self.luck) / 4

    def finish_reason(self, token: int) -> FinishReason | None:
        """Return why an answer ends with a token, which was noted already; None if it goes on."""
        if token in self.end_tokens or self.text.found_stop is not None:
            return "stop"
        if self.grammar is not None and self.grammar.is_complete:
            return "stop" if self.grammar.error is None else "error"
        return "length" if len(self.request.prompt) + self.answer_tokens >= self.sequence.limit_tokens else None

    def note(self, token: int) -> str:
        """Take the next token; return what can be shown."""
        self.answer_tokens += 1
        self.state.chosen(token)
        if self.grammar is not None:
            self.grammar.accept(token)
        return "" if token in self.end_tokens else self.text.feed(token)


@dataclass(frozen=True, slots=True)
class AnswerRows:
    """Which rows of logits of a step are an answer's: `count` from `first`; 0 with an error when there are none."""

    answer: Answer
    chunk: Chunk
    first: int = 0
    count: int = 0
    error: HeklaError | None = None


def token_logprobs(result: StepResult, row: int, wanted: int | None) -> tuple[float | None, tuple[TokenLogprob, ...]]:
    """Return the logarithm of the chosen token's probability and the likeliest tokens', as asked for."""
    if wanted is None:
        return None, ()
    likeliest = zip(result.top_tokens[row, :wanted].tolist(), result.top_logprobs[row, :wanted].tolist(), strict=True)
    return float(result.logprobs[row]), tuple(TokenLogprob(token, value) for token, value in likeliest if token >= 0)


def ending(answer: Answer, reason: FinishReason, error: HeklaError | None = None) -> TokenEvent:
    """Return the event of an end without a token."""
    return TokenEvent(answer.request.request_id, None, answer.text.finish(), reason, error)
