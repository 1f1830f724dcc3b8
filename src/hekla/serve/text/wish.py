"""What a door asks of a model that writes text, and how it is told what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hekla.base.errors import HeklaError
from hekla.protocols.text_engine import Grammar, Sampling, TokenEvent

# Any: OpenAI's messages and tools, which the door has checked.
Message = Mapping[str, Any]
ToolChoice = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt that the model's own template writes."""

    messages: Sequence[Message]
    tools: Sequence[Message] = ()
    tool_choice: ToolChoice = "auto"
    options: Message | None = None  # of the template


# A text may have control tokens written in it, as those do who write the template themselves.
Prompt = Conversation | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TextWish:
    """One API request: `answers` answers to each prompt."""

    prompts: tuple[Prompt, ...]
    answers: int = 1
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    left_out: frozenset[str] = frozenset()  # fields of `sampling` that nobody asked for: the model's own count
    stop: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    ignore_end: bool = False
    grammar: Grammar | None = None
    grammar_where: str = ""  # what errors name
    adapter: str = ""
    tenant: str = ""
    priority: int = 0  # 1 first; 0: the model's default
    timeout_s: float = 0.0  # from `received_s`; 0: the model's default
    # A prompt that does not fit is refused, or loses its oldest messages (its first tokens, where it is no
    # conversation).
    truncation: Literal["refuse", "oldest"] = "refuse"
    keep_tokens: int | None = None  # of a longer prompt only the last are read
    where: str = "$"  # of the prompt, as errors name it
    received_s: float = 0.0
    request_id: str = ""  # the door's own, for logs
    trace_parent: str = ""
    is_counted: bool = True  # False: whoever asks counts it among the model's requests


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known once the engine has taken a request."""

    prompt_tokens: tuple[int, ...]  # of each prompt


class Receiver(Protocol):
    """The door's end of a request. Called on the event loop, never from inside `TextModel.start`."""

    def on_begin(self, begun: Begun) -> None:
        """The engine has it; called once, before any token."""

    def on_event(self, index: int, event: TokenEvent) -> None:
        """Something came for one answer: number `prompt * answers + answer`."""

    def on_flush(self) -> None:
        """No more came for now: send what is to be sent."""

    def on_error(self, error: HeklaError) -> None:
        """It failed as a whole; nothing is called after this."""
