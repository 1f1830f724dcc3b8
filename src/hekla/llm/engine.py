"""The text engine: requests in, tokens out, one call of the runner a step."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hekla.base.errors import (
    ConflictError,
    EngineError,
    InputError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    nearest_name,
)
from hekla.llm.answer import Answer, AnswerRows, ending, token_logprobs
from hekla.llm.batch import BatchArrays
from hekla.llm.grammar import GrammarCompiler
from hekla.llm.language import Language
from hekla.llm.request_checks import check_request
from hekla.llm.runner import LoraDelta, ModelRunner, StepResult
from hekla.llm.sampling_state import SamplingState
from hekla.llm.scheduler import Scheduler
from hekla.llm.sequence import Chunk, Plan
from hekla.llm.sequence import Sequence as ScheduledSequence
from hekla.llm.speculation.drafter import Drafter, Guess
from hekla.protocols.text_engine import (
    ChatPrompt,
    ReplyParser,
    RequestId,
    TextEngineStatus,
    TextModelInfo,
    TextRequest,
    TokenEvent,
    TokenTimes,
)

AdapterReader = Callable[[Path], Sequence[LoraDelta]]


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How much is done at a time."""

    max_running: int = 16
    max_waiting: int = 1024
    max_mixed_tokens: int | None = None  # of a step in which somebody decodes; None: as of any other
    max_adapters: int = 8
    adapter_bytes: int | None = None  # of all adapters together; None: no limit
    draft_tokens: int = 0  # guessed for each sequence and step


class LlmEngine:
    """`hekla.protocols.text_engine.TextEngine` over a `ModelRunner`."""

    def __init__(
        self,
        *,
        info: TextModelInfo,
        runner: ModelRunner,
        language: Language,
        limits: EngineLimits,
        read_adapter: AdapterReader,
        drafter: Drafter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.info = info
        self._runner, self._language, self._limits, self._clock = runner, language, limits, clock
        self._read_adapter, self._drafter = read_adapter, drafter
        self._scheduler = Scheduler(
            pages=runner.pages,
            page_tokens=runner.page_tokens,
            max_step_tokens=runner.max_step_tokens,
            max_running=limits.max_running,
            max_mixed_tokens=limits.max_mixed_tokens,
        )
        self._arrays = BatchArrays(
            max_tokens=runner.max_step_tokens,
            max_sequences=limits.max_running,
            max_rows=min(runner.max_step_tokens, limits.max_running * (1 + limits.draft_tokens)),
            max_pages=-(-info.context_tokens // runner.page_tokens) + 1,
            vocabulary_tokens=runner.vocabulary_tokens,
        )
        self._grammars = GrammarCompiler(language, runner.vocabulary_tokens)
        self._answers: dict[RequestId, Answer] = {}
        self._adapters: dict[str, int] = {}  # the runner's slots
        self._adapter_bytes: dict[str, int] = {}
        self._prompt_tokens = self._answer_tokens = 0
        self._state = "ready"

    # Any thread

    def encode(self, text: str, *, is_special: bool = False) -> tuple[int, ...]:
        """See `TextEngine.encode`."""
        return self._language.encode(text, is_special=is_special)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TextEngine.decode`."""
        return self._language.decode(tokens)

    def token_bytes(self, token: int) -> bytes:
        """See `TextEngine.token_bytes`."""
        return self._language.token_bytes(token)

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],  # Any: OpenAI's messages, checked by the door
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> ChatPrompt:
        """See `TextEngine.render_chat`."""
        return self._language.render_chat(messages, tools=tools, tool_choice=tool_choice, options=options)

    def reply_parser(self, tools: Sequence[Mapping[str, Any]] = ()) -> ReplyParser:
        """See `TextEngine.reply_parser`."""
        return self._language.reply_parser(tools)

    def check(self, request: TextRequest) -> None:
        """See `TextEngine.check`."""
        check_request(request, self.info, self._adapters)
        if request.grammar is not None:
            self._grammars.start(request.grammar)

    # One thread

    def submit(self, request: TextRequest) -> None:
        """See `TextEngine.submit`."""
        self._must_be_ready()
        check_request(request, self.info, self._adapters)
        if request.request_id in self._answers:
            raise ConflictError(f"request {request.request_id} is there already")
        if len(self._scheduler.waiting) >= self._limits.max_waiting:
            raise OverloadedError(f"{self._limits.max_waiting} requests wait already", retry_after_s=1.0)
        grammar = None if request.grammar is None else self._grammars.start(request.grammar)
        limit = self.info.context_tokens
        if request.max_tokens is not None:
            limit = min(limit, len(request.prompt) + request.max_tokens)
        sequence = ScheduledSequence(
            request.request_id,
            list(request.prompt),
            len(request.prompt),
            limit,
            adapter=request.adapter,
            tenant=request.tenant,
            priority=request.priority,
            deadline_s=request.deadline_s,
        )
        seed = secrets.randbits(63) if request.sampling.seed is None else request.sampling.seed
        ends = request.stop_tokens if request.ignore_end else request.stop_tokens | self._language.end_tokens
        self._answers[request.request_id] = Answer(
            request,
            sequence,
            SamplingState(request.sampling, request.prompt, seed),
            self._language.answer_text(request.stop),
            grammar,
            ends,
        )
        self._scheduler.submit(sequence)
        self._prompt_tokens += len(request.prompt)

    def step(self) -> Sequence[TokenEvent]:
        """See `TextEngine.step`."""
        self._must_be_ready()
        if not self._answers:
            return ()
        self._state = "failed"  # unless the end is reached
        now_s = self._clock()
        self._guess()
        plan = self._scheduler.schedule(now_s)
        events = [ending(self._forget(sequence.request_id), "deadline") for sequence in plan.expired]
        if plan.chunks:
            rows = self._lay_out(plan, now_s)
            result = self._runner.step(self._arrays.finished())
            for row in rows:
                events.extend(self._took(row, result))
        self._state = "ready"
        return events

    def cancel(self, request_id: RequestId) -> None:
        """See `TextEngine.cancel`."""
        if request_id in self._answers:
            self._scheduler.remove(request_id)
            self._forget(request_id)

    @property
    def has_work(self) -> bool:
        """See `TextEngine.has_work`."""
        return bool(self._answers)

    def tidy(self) -> None:
        """See `TextEngine.tidy`."""
        self._scheduler.check_integrity()

    def status(self) -> TextEngineStatus:
        """See `TextEngine.status`."""
        scheduler = self._scheduler
        return TextEngineStatus(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            pages=scheduler.pool.pages,
            free_pages=scheduler.pool.free + scheduler.pool.reusable,
            page_tokens=scheduler.page_tokens,
            kv_bytes=self._runner.kv_bytes,
            weight_bytes=self._runner.weight_bytes,
            adapters=tuple(sorted(self._adapters)),
            prefix_hits_tokens=scheduler.prefix_hits_tokens,
            prompt_tokens=self._prompt_tokens,
            answer_tokens=self._answer_tokens,
            preemptions=scheduler.preemptions,
        )

    def load_adapter(self, name: str, path: Path) -> None:
        """See `TextEngine.load_adapter`."""
        self._must_be_ready()
        if not name or name in self._adapters:
            raise ConflictError(f"the adapter {name!r} is loaded already")
        free = set(range(self._limits.max_adapters)) - set(self._adapters.values())
        if not free:
            raise TooLargeError("adapters", limit=f"{self._limits.max_adapters} loaded at a time", got="one more")
        deltas = self._read_adapter(path)
        size = sum(delta.a.nbytes + delta.b.nbytes for delta in deltas)
        held, most = sum(self._adapter_bytes.values()), self._limits.adapter_bytes
        if most is not None and held + size > most:
            raise TooLargeError(f"adapter {name}", limit=f"{most - held} bytes of memory are left", got=f"{size} bytes")
        slot = min(free)
        self._runner.load_adapter(slot, deltas)
        self._adapters[name], self._adapter_bytes[name] = slot, size

    def unload_adapter(self, name: str) -> None:
        """See `TextEngine.unload_adapter`."""
        if name not in self._adapters:
            raise NotFoundError(f"no adapter {name!r} is loaded", cure=nearest_name(name, self._adapters))
        if any(answer.request.adapter == name for answer in self._answers.values()):
            raise ConflictError(f"a request uses the adapter {name!r}", cure="wait for it, or cancel it")
        self._scheduler.tree.drop(name)
        del self._adapter_bytes[name]
        self._runner.unload_adapter(self._adapters.pop(name))

    def close(self) -> None:
        """See `TextEngine.close`."""
        if self._state != "closed":
            self._state = "closed"
            self._answers.clear()
            self._runner.close()
            if self._drafter is not None:
                self._drafter.close()

    # Inside a step

    def _must_be_ready(self) -> None:
        if self._state != "ready":
            raise EngineError(f"the engine {'has failed' if self._state == 'failed' else 'is closed'}")

    def _forget(self, request_id: RequestId) -> Answer:
        if self._drafter is not None:
            self._drafter.forget(request_id)
        return self._answers.pop(request_id)

    def _guess(self) -> None:
        """Have the next tokens of all that decode guessed."""
        if self._drafter is None:
            return
        decoding = [sequence for sequence in self._scheduler.running if sequence.is_decoding]
        guesses = []
        for sequence in decoding:
            answer = self._answers[sequence.request_id]
            most = answer.guesses_worth(self._limits.draft_tokens)
            most = max(0, min(most, sequence.limit_tokens - len(sequence.tokens) - 1))
            guesses.append(Guess(sequence.request_id, sequence.tokens, most, answer.state))
        for sequence, draft in zip(decoding, self._drafter.propose(guesses), strict=True):
            sequence.draft = draft

    def _lay_out(self, plan: Plan, now_s: float) -> list[AnswerRows]:
        """Write a plan into the arrays of the step; return whose the rows of logits are."""
        for source, target in plan.copies:
            if source != target:
                self._runner.copy_page(source, target)
        slots = [self._adapters.get(chunk.sequence.adapter, -1) for chunk in plan.chunks]
        self._arrays.lay_out(plan.chunks, slots)
        rows, place = [], 0
        for chunk in plan.chunks:
            answer = self._answers[chunk.sequence.request_id]
            if answer.started_s is None:
                answer.started_s = now_s
                answer.waited_s = max(0.0, now_s - (answer.request.received_s or now_s))
            rows.append(self._add_rows(answer, chunk, place + chunk.count - 1))
            place += chunk.count + chunk.drafted
        return rows

    def _add_rows(self, answer: Answer, chunk: Chunk, place: int) -> AnswerRows:
        """Ask for the token after a chunk, and for the one after each guessed token that its grammar allows."""
        if not chunk.is_last:
            return AnswerRows(answer, chunk)
        position = len(answer.sequence.tokens)
        undo: list[tuple[int, bool]] = []
        try:
            first = self._arrays.add_row(place, position, answer.state, answer.grammar)
            count = 1
            for token in answer.sequence.draft[: chunk.drafted]:
                if answer.grammar is not None and not answer.grammar.accept(token):
                    break
                undo.append((token, answer.state.chosen(token)))
                if answer.grammar is not None and answer.grammar.is_complete:
                    break
                self._arrays.add_row(place + count, position + count, answer.state, answer.grammar)
                count += 1
            if answer.grammar is not None:
                answer.grammar.go_back(len(undo))
        except (
            InputError,
            EngineError,
        ) as error:  # a grammar that became too hard: the end of its request, and of no other
            return AnswerRows(answer, chunk, error=error)
        for token, was_new in reversed(undo):
            answer.state.unchosen(token, was_new=was_new)
        return AnswerRows(answer, chunk, first, count)

    def _took(self, rows: AnswerRows, result: StepResult) -> Iterator[TokenEvent]:
        """Yield what a step brought for one answer, and have the scheduler know."""
        answer, chunk = rows.answer, rows.chunk
        if rows.error is not None:
            self._scheduler.advance(chunk, ())
            self._scheduler.remove(answer.request.request_id)
            yield ending(self._forget(answer.request.request_id), "error", rows.error)
            return
        if not rows.count:
            answer.prefill_s += result.forward_s
            self._scheduler.advance(chunk)
            return
        if chunk.count > 1 or not answer.answer_tokens:
            answer.prefill_s += result.forward_s
        draft = answer.sequence.draft[: chunk.drafted]
        new: list[int] = []
        is_over = False
        for place in range(rows.count):
            event = self._next_event(answer, result, rows.first + place, is_first=not new)
            assert event.token is not None, "a row without a token"
            new.append(event.token)
            is_over = event.finish_reason is not None
            yield event
            if is_over or (place < rows.count - 1 and event.token != draft[place]):
                break
        self._answer_tokens += len(new)
        answer.guessed(rows.count - 1, len(new) - 1)
        self._scheduler.advance(chunk, new)
        if is_over:
            self._scheduler.remove(answer.request.request_id)
            self._forget(answer.request.request_id)

    def _next_event(self, answer: Answer, result: StepResult, row: int, *, is_first: bool) -> TokenEvent:
        """Take a row's token. `is_first`: of this step, which the time of the step is told with."""
        token = int(result.tokens[row])
        began_s = self._clock() if answer.request.is_timed else 0.0
        is_opening = not answer.answer_tokens
        text = answer.note(token)
        reason = answer.finish_reason(token)
        if reason is not None:
            text += answer.text.finish()
            reason = "stop" if answer.text.found_stop is not None else reason
        logprob, likeliest = token_logprobs(result, row, answer.request.sampling.logprobs)
        times = None
        if answer.request.is_timed:
            times = TokenTimes(
                queue_s=answer.waited_s if is_opening else 0.0,
                prefill_s=answer.prefill_s,
                decode_s=result.forward_s if is_first and not answer.prefill_s else 0.0,
                sample_s=result.sample_s if is_first else 0.0,
                detokenise_s=self._clock() - began_s,
            )
            answer.prefill_s = 0.0
        return TokenEvent(
            answer.request.request_id,
            token,
            text,
            reason,
            answer.grammar.error if reason == "error" and answer.grammar is not None else None,
            logprob=logprob,
            top_logprobs=likeliest,
            cached_tokens=(answer.sequence.cached_tokens or 0) if is_opening else 0,
            times=times,
        )
