"""The engine: requests in, a token of each a step."""

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import (
    ConflictError,
    EngineError,
    InputError,
    ModelFileError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
)
from hekla.engines.ngram import chat, vocabulary
from hekla.engines.ngram.answer import Answer, ShownText, bytes_of, forced_tokens
from hekla.engines.ngram.counts import Counts
from hekla.engines.ngram.instance import text_of
from hekla.engines.ngram.sampling import choose, likeliest
from hekla.protocols.text_engine import (
    ChatPrompt,
    FinishReason,
    ReplyParser,
    RequestId,
    TextEngineStatus,
    TextModelInfo,
    TextRequest,
    TokenEvent,
    TokenTimes,
)

CORPUS = "corpus.txt"


@dataclass(frozen=True, slots=True)
class NgramOptions:
    """What `[engine]` of a model.toml may say."""

    corpus: str = CORPUS  # in the version's folder; paragraphs end where the answers end
    order: int = 6  # tokens of context
    context: int = 2048  # tokens of prompt and answer
    pages: int = 1024
    page_tokens: int = 16
    running: int = 16  # requests answered at a time
    waiting: int = 1024
    prefill_tokens: int = 512  # of a prompt, a step
    pace_ms: int = 0  # each step takes so long: to see how an application takes a slow model


class NgramEngine:
    """`hekla.protocols.text_engine.TextEngine` of byte counts."""

    def __init__(
        self, name: str, corpus: bytes, options: NgramOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options, self._clock = options, clock
        self._counts = {"": Counts(corpus, options.order)}
        self._waiting: list[Answer] = []
        self._running: list[Answer] = []
        self._kept: OrderedDict[int, None] = OrderedDict()  # pages of earlier prompts, by the hash of what is before
        self._order = itertools.count()
        self._hits = self._read = self._written = self._preempted = 0
        self._context = min(options.context, options.pages * options.page_tokens)
        self._is_closed = False
        self._bytes = len(corpus)
        self.info = TextModelInfo(name, "ngram", "", len(corpus), self._context, vocabulary.SIZE, True, True)

    # Any thread

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """Return the tokens of a text."""
        return vocabulary.encode(text, is_special=is_special)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Errors: InputError for one out of range."""
        return vocabulary.decode(tokens)

    def token_bytes(self, token: int) -> bytes:
        """Return what a token stands for."""
        return vocabulary.token_bytes(token)

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> ChatPrompt:
        """Return the conversation as tokens. Errors: InputError for a role or an option that is not known."""
        if options:
            raise InputError(f"the template has no option {next(iter(options))!r}", where="$.chat_template_kwargs")
        return chat.render(messages, tools, tool_choice)

    def reply_parser(self, tools: Sequence[Mapping[str, Any]] = ()) -> ReplyParser:
        """Return what reads one answer."""
        return chat.CallParser(bool(tools))

    def check(self, request: TextRequest) -> None:
        """Refuse what `submit` would refuse."""
        if len(request.prompt) >= self._context:
            raise TooLargeError("prompt", limit=f"{self._context} tokens", got=f"{len(request.prompt)} tokens")
        if not request.prompt or not all(0 <= token < vocabulary.SIZE for token in request.prompt):
            raise InputError(f"a prompt is tokens from 0 to {vocabulary.SIZE - 1}, at least one")
        if any(not 0 <= token < vocabulary.SIZE for token in request.sampling.logit_bias):
            raise InputError(f"a biased token is not between 0 and {vocabulary.SIZE - 1}", where="logit_bias")
        if request.adapter not in self._counts:
            raise NotFoundError(f"no adapter {request.adapter!r} is loaded")
        if request.grammar is not None:
            text_of(request.grammar, 0)

    # One thread

    def submit(self, request: TextRequest) -> None:
        """Queue a request."""
        self.check(request)
        if any(answer.request.request_id == request.request_id for answer in (*self._waiting, *self._running)):
            raise ConflictError(f"request {request.request_id} is there already")
        if len(self._waiting) >= self._options.waiting:
            raise OverloadedError(f"{len(self._waiting)} requests wait already", retry_after_s=1.0)
        room = self._context - len(request.prompt)
        seed = request.sampling.seed
        answer = Answer(
            request,
            next(self._order),
            min(room, room if request.max_tokens is None else request.max_tokens),
            ShownText(request.stop),
            np.random.default_rng(None if seed is None else seed % 2**64),
        )
        answer.tokens = list(request.prompt)
        answer.seen = dict.fromkeys(request.prompt, 0)
        if request.grammar is not None:
            answer.forced = forced_tokens(text_of(request.grammar, 0 if seed is None else seed))
        self._waiting.append(answer)

    def step(self) -> Sequence[TokenEvent]:
        """Read a piece of each prompt, or write a token of each answer."""
        if self._is_closed:
            raise EngineError("is closed")
        started = self._clock()
        events = self._expired(started)
        self._admit(started)
        for answer in tuple(self._running):
            if answer not in self._running:  # it gave its pages to another
                continue
            if answer.prefilled < len(answer.request.prompt) + answer.written:
                self._prefill(answer)
                continue
            events.append(self._write(answer, started))
            if events[-1].finish_reason is not None:
                self._running.remove(answer)
                self._keep(answer)
        left_s = self._options.pace_ms / 1e3 - (self._clock() - started)
        if left_s > 0:
            time.sleep(left_s)
        return events

    def cancel(self, request_id: RequestId) -> None:
        """Forget a request."""
        for answers in (self._waiting, self._running):
            answers[:] = [answer for answer in answers if answer.request.request_id != request_id]

    @property
    def has_work(self) -> bool:
        """True while anybody waits or is answered."""
        return bool(self._waiting or self._running)

    def tidy(self) -> None:
        """Check that the pages add up. Errors: EngineError."""
        if any(answer.pages for answer in self._waiting) or self._free_pages() < 0:
            raise EngineError("pages are held by nobody, or by two")

    def status(self) -> TextEngineStatus:
        """Return how full it is."""
        options = self._options
        return TextEngineStatus(
            running=len(self._running),
            waiting=len(self._waiting),
            pages=options.pages,
            free_pages=self._free_pages(),
            page_tokens=options.page_tokens,
            kv_bytes=options.pages * options.page_tokens,
            weight_bytes=self._bytes,
            adapters=tuple(sorted(self._counts.keys() - {""})),
            prefix_hits_tokens=self._hits,
            prompt_tokens=self._read,
            answer_tokens=self._written,
            preemptions=self._preempted,
        )

    def load_adapter(self, name: str, path: Path) -> None:
        """Make another corpus an adapter. Errors: ConflictError, ModelFileError."""
        if name in self._counts:
            raise ConflictError(f"the adapter {name!r} is there already")
        try:
            corpus = (path / CORPUS).read_bytes()
        except OSError as error:
            raise ModelFileError(f"cannot be read: {error.strerror}", where=str(path / CORPUS)) from error
        self._counts[name] = Counts(corpus, self._options.order)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Errors: NotFoundError; ConflictError while a request uses it."""
        if not name or name not in self._counts:
            raise NotFoundError(f"no adapter {name!r} is loaded")
        if any(answer.request.adapter == name for answer in (*self._waiting, *self._running)):
            raise ConflictError(f"a request uses the adapter {name!r}")
        del self._counts[name]

    def close(self) -> None:
        """Forget everything."""
        self._is_closed = True
        self._waiting.clear()
        self._running.clear()

    # Inside a step

    def _expired(self, now: float) -> list[TokenEvent]:
        late = [a for a in (*self._waiting, *self._running) if (a.request.deadline_s or now) < now]
        for answer in late:
            self.cancel(answer.request.request_id)
        return [TokenEvent(answer.request.request_id, None, "", "deadline") for answer in late]

    def _admit(self, now: float) -> None:
        """Start those that wait: priority first, then the tenant that has least, then who came first."""
        while self._waiting and len(self._running) < self._options.running:
            shares: dict[str, int] = {}
            for answer in self._running:
                shares[answer.request.tenant] = shares.get(answer.request.tenant, 0) + 1
            chosen = min(
                self._waiting,
                key=lambda a: (-a.request.priority, shares.get(a.request.tenant, 0), a.order),
            )
            if not self._grow(chosen, len(chosen.tokens) + 1):
                return
            self._waiting.remove(chosen)
            self._running.append(chosen)
            chosen.waited_s = now - (chosen.request.received_s or now)
            cached = self._cached_tokens(chosen.tokens)
            chosen.prefilled = cached
            if not chosen.written:
                chosen.cached = cached
                self._hits += cached
                self._read += len(chosen.request.prompt)

    def _prefill(self, answer: Answer) -> None:
        started = self._clock()
        known = len(answer.request.prompt) + answer.written
        answer.prefilled = min(known, answer.prefilled + self._options.prefill_tokens)
        answer.read_s += self._clock() - started

    def _write(self, answer: Answer, started: float) -> TokenEvent:
        request = answer.request
        if not self._grow(answer, len(answer.tokens) + 1):
            error = EngineError("no page is free and nobody can give one up")
            return TokenEvent(request.request_id, None, "", "error", error)
        is_first = not answer.written
        logprobs = self._counts[request.adapter].logprobs(answer.tokens)
        decoded = self._clock()
        if answer.forced is not None:
            token = next(answer.forced)
        else:
            token = choose(logprobs, request.sampling, answer.seen, answer.random)
        sampled = self._clock()
        answer.note(token)
        answer.prefilled += 1
        self._written += 1
        reason = self._reason(answer, token)
        hides = reason == "stop"
        text = answer.shown.feed(b"" if hides else bytes_of(token), is_end=reason is not None)
        if answer.shown.has_stopped:
            reason = "stop"
        wanted = request.sampling.logprobs
        times = None
        if request.is_timed:
            now = self._clock()
            queue_s, read_s = (answer.waited_s, answer.read_s) if is_first else (0.0, 0.0)
            times = TokenTimes(queue_s, read_s, decoded - started, sampled - decoded, now - sampled)
        return TokenEvent(
            request.request_id,
            token,
            text,
            reason,
            logprob=None if wanted is None else float(logprobs[token]),
            top_logprobs=() if not wanted else likeliest(logprobs, wanted),
            cached_tokens=answer.cached if is_first else 0,
            times=times,
        )

    def _reason(self, answer: Answer, token: int) -> FinishReason | None:
        request = answer.request
        is_end = token == vocabulary.END and (answer.forced is not None or not request.ignore_end)
        if is_end or token in request.stop_tokens:
            return "stop"
        return "length" if answer.written >= answer.limit else None

    # Pages

    def _free_pages(self) -> int:
        return self._options.pages - sum(answer.pages for answer in self._running)

    def _grow(self, answer: Answer, tokens: int) -> bool:
        """Give a request the pages for so many tokens, taking them from the least urgent; False if there are none."""
        needed = -(-tokens // self._options.page_tokens)
        while needed - answer.pages > self._free_pages():
            others = [other for other in self._running if other is not answer]
            last = max(others, key=lambda a: (-a.request.priority, a.order), default=None)
            if last is None or answer not in self._running:
                return False
            self._running.remove(last)
            last.pages = last.prefilled = 0
            self._waiting.insert(0, last)
            self._preempted += 1
        answer.pages = max(answer.pages, needed)
        return True

    def _keep(self, answer: Answer) -> None:
        for key in self._page_keys(answer.tokens):
            self._kept[key] = None
            self._kept.move_to_end(key)
        while len(self._kept) > self._options.pages:
            self._kept.popitem(last=False)

    def _cached_tokens(self, tokens: Sequence[int]) -> int:
        found = itertools.takewhile(self._kept.__contains__, self._page_keys(tokens[:-1]))
        return sum(1 for _ in found) * self._options.page_tokens

    def _page_keys(self, tokens: Sequence[int]) -> list[int]:
        size, key, keys = self._options.page_tokens, 0, []
        for end in range(size, len(tokens) + 1, size):
            key = hash((key, *tokens[end - size : end]))
            keys.append(key)
        return keys
