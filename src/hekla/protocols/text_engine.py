"""The seam between whatever generates text token by token and whatever wants to read it.

A text engine is a state machine: `submit` puts a request in, `step` moves every running request on by at most a few
tokens and says what came, `cancel` takes one out. It has no clock of its own, no thread and no loop: its owner calls
it from one thread at a time. What belongs to the model (its tokeniser, its chat template, how it writes tool calls)
stays behind the seam; what belongs to a wire (JSON, events, choices) stays before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType, Protocol

from hekla.base.errors import HeklaError

RequestId = NewType("RequestId", int)
FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]
GrammarKind = Literal["json_schema", "json_object", "regex", "lark", "choice"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The defaults choose as OpenAI's do."""

    temperature: float = 1.0  # 0: the likeliest token, always
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0  # of the likeliest token's probability
    repetition_penalty: float = 1.0  # divides or multiplies logits of tokens seen in prompt or answer (CTRL)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None  # None: the engine draws one
    logprobs: int | None = None  # None: none; n: of the token chosen and of the n likeliest (at most 20)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the answer must be."""

    kind: GrammarKind
    text: str  # the schema as JSON text, the pattern, the grammar; for "choice" a JSON list of texts
    otherwise: "Grammar | None" = None  # what else the answer may be, all of it; this one has no other itself


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One answer asked for. `n` answers are n requests: the engine shares their prompt's pages."""

    request_id: RequestId
    prompt: tuple[int, ...]  # token ids; never empty
    max_tokens: int | None = None  # None: as many as the context holds
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()  # never part of the answer
    stop_tokens: frozenset[int] = frozenset()  # besides the model's own end tokens
    ignore_end: bool = False  # go on past the model's end tokens (benchmarks)
    grammar: Grammar | None = None
    adapter: str = ""  # a LoRA adapter that `load_adapter` named
    tenant: str = ""  # shares are fair between tenants
    priority: int = 0  # the greater goes first
    deadline_s: float | None = None  # on the clock of `time.monotonic`
    is_timed: bool = False  # ask for `TokenTimes` with every token
    received_s: float = 0.0  # on the clock of `time.monotonic`: what "queue" is measured from


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and the natural logarithm of its probability, after no penalty and at temperature 1."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenTimes:
    """Where the time of one token went, in seconds."""

    queue_s: float
    prefill_s: float
    decode_s: float
    sample_s: float
    detokenise_s: float


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """What one step did for one request: a token, an end, or both."""

    request_id: RequestId
    token: int | None  # None: an end without a token
    text: str  # what can be shown now: whole characters, and nothing that may still become a stop text
    finish_reason: FinishReason | None = None  # given once, with the last event
    error: HeklaError | None = None  # with the finish reason "error": why, and by its class whose fault it is
    logprob: float | None = None
    top_logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0  # with the first event: how much of the prompt was taken from earlier requests
    times: TokenTimes | None = None


@dataclass(frozen=True, slots=True)
class TextModelInfo:
    """What a client may want to know. Never changes."""

    name: str
    family: str  # "llama", "gemma3", ...
    quantisation: str  # "Q4_1", ...
    parameters: int
    context_tokens: int  # prompt and answer together
    vocabulary_tokens: int
    has_chat_template: bool
    can_call_tools: bool


@dataclass(frozen=True, slots=True)
class TextEngineStatus:
    """How full the engine is."""

    running: int
    waiting: int
    pages: int
    free_pages: int  # of them, pages no running request holds (those kept for reuse count as free)
    page_tokens: int
    kv_bytes: int
    weight_bytes: int
    adapters: tuple[str, ...]
    prefix_hits_tokens: int  # prompt tokens taken from earlier requests since the start
    prompt_tokens: int  # since the start
    answer_tokens: int  # since the start
    preemptions: int  # since the start


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A piece of a call that the model writes. The first piece of call `index` has its id and name."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""  # a piece of JSON text, in order


@dataclass(frozen=True, slots=True)
class ReplyPiece:
    """A piece of a reply: text for the reader, or of a tool call."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ReplyParser(Protocol):
    """Tells text from tool calls in one answer, piece by piece, as its model writes them."""

    def feed(self, text: str, *, is_end: bool = False) -> Sequence[ReplyPiece]:
        """Return what is known now. All that was fed has come out once `is_end`; no text a model writes raises."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation as the model's template writes it."""

    text: str
    tokens: tuple[int, ...]
    stop: tuple[str, ...] = ()  # texts that end the answer, where the template says so
    grammar: Grammar | None = None  # what holds the answer to the tools, where `tool_choice` asks for it
    # How calls are written, where tools may be called: with a form asked for, the answer is of this grammar or of the
    # form's. None also where a call cannot be told from such an answer.
    calls: Grammar | None = None


class TextEngine(Protocol):
    """Tokens in, tokens out. Not for two threads at once, except where a method says so."""

    @property
    def info(self) -> TextModelInfo:
        """What model this is. Any thread."""

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """Return the token ids of a text. Any thread.

        `is_special` reads control tokens written in the text as themselves and adds those the model begins with;
        without it, a text can never become a control token.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids; bytes that are no UTF-8 become U+FFFD. Any thread.

        Errors: InputError for ids out of range.
        """

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one token stands for, as logprobs report them. Any thread."""

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        options: Mapping[str, Any] | None = None,  # `chat_template_kwargs`
    ) -> ChatPrompt:
        """Return the conversation as a prompt, ready for the assistant's answer. Any thread.

        Errors: InputError naming the message (`$.messages[2].role`) for one the template refuses; UnsupportedError
        for a model without a template, or tools with a model that knows none.
        """

    def reply_parser(self, tools: Sequence[Mapping[str, Any]] = ()) -> ReplyParser:
        """Return what reads one answer. Without tools everything is text. Any thread."""

    def check(self, request: TextRequest) -> None:
        """Refuse what `submit` would refuse, changing nothing. Any thread; may take milliseconds for a grammar.

        Errors: TooLargeError for a prompt longer than the context, with both numbers; InputError for a bad option or
        grammar; NotFoundError for an adapter that is not loaded.
        """

    def submit(self, request: TextRequest) -> None:
        """Queue a request.

        Errors: those of `check`; OverloadedError when the queue is full; ConflictError for an id in use.
        """

    def step(self) -> Sequence[TokenEvent]:
        """Move on every request that can be, by one native call, and return what came. Nothing to do: ().

        An error of one request ends that request with finish reason "error". Errors: EngineError when the engine
        itself failed: it is dead and must be closed.
        """

    def cancel(self, request_id: RequestId) -> None:
        """Forget a request and free its pages before this returns. No event comes; an unknown id is nothing."""

    @property
    def has_work(self) -> bool:
        """True if `step` would do something."""

    def tidy(self) -> None:
        """Do what is best done idle: check the integrity of the pages. Errors: EngineError when something is broken."""

    def status(self) -> TextEngineStatus:
        """Return how full the engine is."""

    def load_adapter(self, name: str, path: Path) -> None:
        """Make a LoRA adapter ready.

        Errors: ModelFileError; ConflictError for a name that is taken; TooLargeError past the memory allowed.
        """

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Errors: NotFoundError; ConflictError while a request uses it."""

    def close(self) -> None:
        """Free everything; what runs is forgotten. A second call does nothing."""


@dataclass(frozen=True, slots=True)
class TextEngineSource:
    """What a text engine is made from: one version of one model in a repository."""

    model: str
    version: int
    folder: Path  # the version's folder; engines read only below it
    options: Mapping[str, object] = field(default_factory=dict)  # the [engine] table less `kind`
    threads: int = 1
    where: str = ""  # how errors name the model.toml this came from


class TextEngineLoader(Protocol):
    """Makes text engines. Registered by name in the entry-point group `hekla.text_engines`."""

    def __call__(self, source: TextEngineSource) -> TextEngine:
        """Return a ready engine.

        Errors: ConfigError for a wrong option; ModelFileError for damaged files; TooLargeError when weights, pages
        and scratch are over the memory allowed, with the sum shown; UnsupportedError naming a quantisation or
        architecture that is not known.
        """
