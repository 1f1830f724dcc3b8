"""The scheduler against a model of what pages contain: random arrivals, cancels, deadlines, budgets and drafts."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hekla.base.errors import EngineError
from hekla.llm.scheduler import Scheduler
from hekla.llm.sequence import Chunk, Sequence
from hekla.llm.waiting import WaitingQueue
from hekla.protocols.text_engine import RequestId

PAGE = 4


def next_token(adapter: str, tokens: tuple[int, ...]) -> int:
    """Return what the pretended model says after some tokens."""
    return random.Random(f"{adapter}{tokens}").randrange(3)


@dataclass
class Pretender:
    """Stands for the runner: remembers which history each slot of each page was computed from."""

    scheduler: Scheduler
    slots: dict[tuple[int, int], tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    answers: dict[RequestId, list[int]] = field(default_factory=dict)
    ended: dict[RequestId, str] = field(default_factory=dict)
    now_s: float = 0.0

    def submit(self, number: int, prompt: list[int], answer: int, **options: object) -> Sequence:
        sequence = Sequence(RequestId(number), list(prompt), len(prompt), len(prompt) + answer)
        for name, value in options.items():
            setattr(sequence, name, value)
        self.scheduler.submit(sequence)
        self.answers[sequence.request_id] = []
        return sequence

    def step(self, guess: float = 0.0) -> int:
        """Run a step as the engine would; return how many tokens it computed."""
        scheduler = self.scheduler
        for sequence in scheduler.running:
            if guess and sequence.is_decoding:
                sequence.draft = self._drafted(sequence, guess)
        plan = scheduler.schedule(self.now_s)
        for sequence in plan.expired:
            self.ended[sequence.request_id] = "deadline"
        for source, target in plan.copies:
            for slot in range(PAGE):
                self.slots[target, slot] = self.slots.get((source, slot), ("", ()))
        assert sum(chunk.count + chunk.drafted for chunk in plan.chunks) <= scheduler.max_step_tokens
        writers = [page for chunk in plan.chunks for page in self._written(chunk)]
        assert len(writers) == len(set(writers)), "two sequences write one page"
        for chunk in plan.chunks:
            self._compute(chunk)
        return sum(chunk.count for chunk in plan.chunks)

    def _drafted(self, sequence: Sequence, guess: float) -> list[int]:
        dice, tokens = random.Random(repr(sequence.tokens)), list(sequence.tokens)
        for _ in range(3):
            tokens.append(next_token(sequence.adapter, tuple(tokens)) if dice.random() < guess else 9)
        return tokens[len(sequence.tokens) :]

    def _written(self, chunk: Chunk) -> set[int]:
        last = chunk.start + chunk.count + chunk.drafted
        return {chunk.sequence.pages[position // PAGE] for position in range(chunk.start, last)}

    def _compute(self, chunk: Chunk) -> None:
        sequence = chunk.sequence
        given = [*sequence.tokens[: chunk.start + chunk.count], *sequence.draft[: chunk.drafted]]
        for position in range(chunk.start, len(given)):
            place = sequence.pages[position // PAGE], position % PAGE
            self.slots[place] = sequence.adapter, tuple(given[: position + 1])
        for position in range(len(given)):
            place = sequence.pages[position // PAGE], position % PAGE
            assert self.slots.get(place) == (sequence.adapter, tuple(given[: position + 1])), "a page has other tokens"
        new: list[int] = []
        if chunk.is_last:
            tokens = tuple(sequence.tokens)
            for guessed in [*sequence.draft[: chunk.drafted], None]:
                new.append(next_token(sequence.adapter, (*tokens, *new)))
                if new[-1] != guessed:
                    break
        self.scheduler.advance(chunk, new)
        self.answers[sequence.request_id] += new
        if len(sequence.tokens) >= sequence.limit_tokens:
            assert len(sequence.tokens) == sequence.limit_tokens, "longer than its limit"
            self.ended[sequence.request_id] = "length"
            self.scheduler.remove(sequence.request_id)

    def finish(self) -> None:
        """Run until nothing is left; every step gets something done."""
        while self.scheduler.running or len(self.scheduler.waiting):
            assert self.step() or not self.scheduler.running, "a step that does nothing"


def expected(adapter: str, prompt: list[int], answer: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(answer):
        tokens.append(next_token(adapter, tuple(tokens)))
    return tokens[len(prompt) :]


def small(pages: int = 12, budget: int = 8, running: int = 4, mixed: int | None = None) -> Pretender:
    return Pretender(
        Scheduler(
            pages=pages,
            page_tokens=PAGE,
            max_step_tokens=budget,
            max_running=min(running, budget),
            max_mixed_tokens=mixed,
        )
    )


PROMPTS = st.lists(st.integers(0, 2), min_size=1, max_size=20)


class Arrivals(RuleBasedStateMachine):
    """Anything may happen between two steps."""

    @initialize(
        pages=st.integers(8, 20),
        budget=st.integers(1, 24),
        running=st.integers(1, 6),
        mixed=st.none() | st.integers(1, 8),
    )
    def begin(self, pages: int, budget: int, running: int, mixed: int | None) -> None:
        self.pretender = small(pages, budget, running, mixed)
        self.asked: dict[int, tuple[str, list[int], int]] = {}

    @rule(
        prompt=PROMPTS,
        answer=st.integers(1, 12),
        tenant=st.sampled_from("ab"),
        priority=st.integers(0, 1),
        adapter=st.sampled_from(["", "", "lora"]),
        patience=st.none() | st.integers(1, 30),
        copies=st.integers(1, 3),
    )
    def arrive(
        self,
        prompt: list[int],
        answer: int,
        tenant: str,
        priority: int,
        adapter: str,
        patience: int | None,
        copies: int,
    ) -> None:
        for _ in range(copies):
            self.asked[len(self.asked)] = adapter, prompt, answer
            self.pretender.submit(
                len(self.asked) - 1,
                prompt,
                answer,
                tenant=tenant,
                priority=priority,
                adapter=adapter,
                deadline_s=None if patience is None else self.pretender.now_s + patience,
            )

    @rule(number=st.integers(0, 40))
    def cancel(self, number: int) -> None:
        if self.pretender.scheduler.remove(RequestId(number)) is not None:
            self.pretender.ended[RequestId(number)] = "cancelled"

    @rule(guess=st.sampled_from([0.0, 0.5, 1.0]), steps=st.integers(1, 6))
    def step(self, guess: float, steps: int) -> None:
        for _ in range(steps):
            self.pretender.now_s += 1
            self.pretender.step(guess)

    @precondition(lambda self: self.asked)
    @rule()
    def follow_up(self) -> None:
        """Ask again with an answer in the prompt, as a chat does."""
        number = max(self.asked)
        adapter, prompt, _ = self.asked[number]
        longer = [*prompt, *self.pretender.answers[RequestId(number)], 1][:24]
        self.asked[number + 1] = adapter, longer, 4
        self.pretender.submit(number + 1, longer, 4, adapter=adapter)

    @invariant()
    def nothing_is_leaked(self) -> None:
        self.pretender.scheduler.check_integrity()
        assert len(self.pretender.scheduler.running) <= self.pretender.scheduler.max_running

    def teardown(self) -> None:
        if not hasattr(self, "pretender"):
            return
        self.pretender.finish()
        for number, (adapter, prompt, answer) in self.asked.items():
            found, whole = self.pretender.answers[RequestId(number)], expected(adapter, prompt, answer)
            if self.pretender.ended[RequestId(number)] == "length":
                assert found == whole, "a crowd changed the answer"
            assert found == whole[: len(found)]
        pool = self.pretender.scheduler.pool
        self.pretender.scheduler.check_integrity()
        assert pool.free + pool.reusable == pool.pages


TestArrivals = Arrivals.TestCase
TestArrivals.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.slow
def test_the_same_holds_for_many_more_arrivals() -> None:
    run_state_machine_as_test(Arrivals, settings=settings(max_examples=500, stateful_step_count=40, deadline=None))


@given(tenants=st.lists(st.sampled_from("abc"), min_size=1, max_size=12), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_nobody_starves_while_others_keep_coming(tenants: list[str], seed: int) -> None:
    made = small(running=2)
    for number, tenant in enumerate(tenants):
        made.submit(number, [1, 2, seed % 3, number % 3], 6, tenant=tenant)
    last, number = RequestId(len(tenants) - 1), len(tenants)
    for _ in range(60 * len(tenants)):
        if last in made.ended:
            return
        made.step()
        while len(made.scheduler.waiting) < 4:  # a tenant that never stops asking
            made.submit(number, [2, number % 3], 3, tenant="greedy")
            number += 1
    raise AssertionError("starved")


def test_copies_of_a_prompt_compute_it_once() -> None:
    made = small(pages=40, budget=16, running=8)
    prompt = [number % 3 for number in range(18)]
    for number in range(4):
        made.submit(number, prompt, 3)
    computed = 0
    while made.scheduler.running or len(made.scheduler.waiting):
        computed += made.step()
    # one whole prompt, then of each copy what is beyond the whole pages, and two further tokens of each answer
    assert computed <= 18 + 3 * 2 + 4 * 2
    assert made.scheduler.prefix_hits_tokens >= 3 * 16


def test_the_second_turn_of_a_chat_costs_only_its_new_tokens() -> None:
    made = small(pages=40, budget=40)
    first = [number % 3 for number in range(21)]
    made.submit(0, first, 6)
    made.finish()
    turn = [*first, *made.answers[RequestId(0)], 2, 2, 2]
    made.submit(1, turn, 1)
    assert made.step() == 4  # the last token of the answer was never computed
    assert made.scheduler.prefix_hits_tokens == len(turn) - 4


def test_the_greater_priority_takes_the_place_of_the_lesser() -> None:
    made = small(running=1)
    made.submit(0, [1], 8, priority=0)
    made.step()
    made.submit(1, [2], 8, priority=1)
    made.step()
    assert [sequence.request_id for sequence in made.scheduler.running] == [1]
    made.finish()
    assert list(made.ended) == [1, 0]
    assert made.answers[RequestId(0)] == expected("", [1], 8)


def test_a_tenant_who_comes_later_gets_half_the_places() -> None:
    made = small(pages=40, running=4)
    for number in range(8):
        made.submit(number, [number % 3], 30, tenant="first")
    for _ in range(3):
        made.step()
    for number in range(8, 12):
        made.submit(number, [number % 3], 30, tenant="second")
    for _ in range(2):
        made.step()
    assert sorted(sequence.tenant for sequence in made.scheduler.running) == ["first", "first", "second", "second"]


def test_somebody_decoding_waits_for_no_long_prompt() -> None:
    made = small(pages=40, budget=32, mixed=6)
    made.submit(0, [1], 20)
    made.step()
    made.submit(1, [2] * 30, 2)
    steps = 0
    while RequestId(1) not in made.ended:
        before = len(made.answers[RequestId(0)])
        assert made.step() <= 6
        assert len(made.answers[RequestId(0)]) == before + 1
        steps += 1
    assert steps >= 6


def test_a_passed_deadline_ends_what_runs_and_what_waits() -> None:
    made = small(running=1)
    made.submit(0, [1], 20, deadline_s=5.0)
    made.submit(1, [1], 20, deadline_s=4.0)
    made.step()
    made.now_s = 5.0
    made.step()
    assert made.ended == {0: "deadline", 1: "deadline"}
    assert made.scheduler.pool.free + made.scheduler.pool.reusable == made.scheduler.pool.pages


def test_pages_that_lack_are_taken_from_the_last_to_come() -> None:
    made = small(pages=8, running=2)
    made.submit(0, [1], 28)
    made.submit(1, [2], 28)
    made.finish()
    assert made.scheduler.preemptions
    assert list(made.ended) == [0, 1]
    assert made.answers[RequestId(1)] == expected("", [2], 28)


def test_a_guess_takes_nobodys_page() -> None:
    made = small(pages=8, running=2)
    for number in range(2):
        made.submit(number, [number] * 5, 15)
    while len(made.answers[RequestId(1)]) < 9:
        made.step()
    assert made.scheduler.pool.free + made.scheduler.pool.reusable == 0
    made.step(guess=1.0)
    assert made.scheduler.preemptions == 0


def test_a_tenant_back_from_idling_has_nothing_saved_up() -> None:
    queue = WaitingQueue()
    queue.enter("busy")
    queue.charge("busy", 500)
    queue.enter("new")
    assert queue.served("new") == 500
    queue.leave("new")
    queue.charge("busy", 100)
    queue.enter("new")
    assert queue.served("new") == 600
    queue.charge("new", 50)
    for number, tenant in enumerate(("new", "busy")):
        sequence = Sequence(RequestId(number), [1], 1, 2, tenant=tenant, arrival=number)
        queue.push(sequence)
    assert [sequence.tenant for sequence in queue.in_order()] == ["busy", "new"]


def test_tenants_who_left_are_forgotten_in_the_end() -> None:
    queue = WaitingQueue()
    for number in range(3000):
        queue.enter(f"tenant {number}")
        queue.leave(f"tenant {number}")
    assert len(queue._served) <= 1024


def test_a_planted_leak_is_seen() -> None:
    made = small()
    made.submit(0, [1] * 9, 4)
    made.step()
    made.scheduler.running[0].pages.pop()
    with pytest.raises(EngineError):
        made.scheduler.check_integrity()
