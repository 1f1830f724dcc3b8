"""Guessing tokens changes how many come in a step, and nothing else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.llm.tiny_engine import GREEDY, Answers, answers, request, tiny_engine
from tests.llm.tiny_models import LLAMA, step_batch, tiny_weights

from hekla.llm.engine import EngineLimits, LlmEngine
from hekla.llm.reference import ReferenceRunner
from hekla.llm.sampling_state import SamplingState, random_at
from hekla.llm.speculation.draft_model import DraftModel
from hekla.llm.speculation.drafter import Drafter, Guess
from hekla.llm.speculation.lookup import PromptLookup
from hekla.protocols.text_engine import Grammar, RequestId, Sampling, TextRequest

LIMITS = EngineLimits(max_running=4, draft_tokens=3)
PROMPT = [94, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]


def draft_model(seed: int = 0, noise: float = 0.0, pages: int = 80) -> DraftModel:
    """Return a small model that is the large one, a little off."""
    weights, random = tiny_weights(LLAMA, seed), np.random.default_rng(1)
    for name, array in weights.items():
        weights[name] = array + np.float32(noise) * random.standard_normal(array.shape).astype(np.float32)
    runner = ReferenceRunner(LLAMA, weights, pages=pages, page_tokens=4, max_step_tokens=16)
    return DraftModel(runner, context_tokens=100)


def counted(engine: LlmEngine, *requests: TextRequest) -> tuple[Answers, int]:
    """Return the answers, and how many steps they took."""
    found, steps = Answers(), 0
    for asked in requests:
        engine.submit(asked)
    while engine.has_work:
        found.take(engine.step())
        engine.tidy()
        steps += 1
    return found, steps


SAMPLINGS = (
    GREEDY,
    Sampling(seed=3),
    Sampling(temperature=0.7, top_k=12, top_p=0.9, seed=5),
    Sampling(temperature=0, repetition_penalty=1.3, frequency_penalty=0.4, presence_penalty=0.2),
    Sampling(seed=9, repetition_penalty=0.8, logit_bias={3: 2.0}),
)


@pytest.mark.parametrize("drafter", ["lookup", "same", "near", "other", "starved"])
def test_guesses_change_no_token(drafter: str) -> None:
    crowd = [
        request(number, [*PROMPT, number], sampling=sampling, max_tokens=25, ignore_end=True, is_timed=True)
        for number, sampling in enumerate(SAMPLINGS)
    ]
    made: dict[str, Drafter] = {
        "lookup": PromptLookup(),
        "same": draft_model(),
        "near": draft_model(noise=0.02),
        "other": draft_model(seed=4),
        "starved": draft_model(pages=5),
    }
    plain, plain_steps = counted(tiny_engine(limits=EngineLimits(max_running=4)), *crowd)
    found, steps = counted(tiny_engine(limits=LIMITS, drafter=made[drafter]), *crowd)
    assert found.tokens == plain.tokens
    assert found.text == plain.text
    assert found.reason == plain.reason
    if drafter == "same":
        assert steps < plain_steps / 2
    if drafter == "near":
        assert steps < plain_steps * 0.8


def test_a_guess_must_keep_to_the_grammar() -> None:
    asked = request(1, PROMPT, grammar=Grammar("regex", "(ab){4,9}[0-9]{2}"), max_tokens=40, sampling=Sampling(seed=2))
    plain, _ = counted(tiny_engine(limits=EngineLimits(max_running=4)), asked)
    for drafter in (PromptLookup(), draft_model(), draft_model(noise=0.02)):
        found, _ = counted(tiny_engine(limits=LIMITS, drafter=drafter), asked)
        assert found.tokens == plain.tokens
        assert found.reason[1] == "stop"


def test_a_wrong_guess_leaves_no_trace_in_the_grammar() -> None:
    """Most guesses are allowed here, and not what the model chooses: the grammar has to go back to count right."""
    grammar = Grammar("regex", "[a-h]{7}([0-9]{2}[a-h]{3}){4}!")
    for seed in range(4):
        asked = request(1, PROMPT, grammar=grammar, max_tokens=60, sampling=Sampling(temperature=1.5, seed=seed))
        plain, _ = counted(tiny_engine(limits=EngineLimits(max_running=4)), asked)
        found, _ = counted(tiny_engine(limits=LIMITS, drafter=Parrot([0, 1, 2])), asked)
        assert found.tokens == plain.tokens
        assert found.reason[1] == "stop"


class Parrot:
    """Guesses the same few tokens every time."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    def propose(self, guesses: Sequence[Guess]) -> Sequence[list[int]]:
        """Return the tokens."""
        return [self._tokens[: guess.most] for guess in guesses]

    def forget(self, request_id: RequestId) -> None:
        """Know nothing."""

    def close(self) -> None:
        """Hold nothing."""


def test_the_draft_model_forgets_what_came_to_nothing() -> None:
    state, kept = SamplingState(GREEDY, [], 0), draft_model()
    first = kept.propose([Guess(RequestId(1), list(PROMPT), 3, state)])[0]
    true = [*PROMPT, (first[0] + 1) % 90, first[1], 7]
    again = kept.propose([Guess(RequestId(1), true, 3, state)])[0]
    assert again == draft_model().propose([Guess(RequestId(1), true, 3, state)])[0]
    assert len(again) == 3


def test_a_stop_within_a_guess_ends_the_answer_there() -> None:
    plain, _ = counted(tiny_engine(limits=EngineLimits(max_running=4)), request(1, PROMPT, max_tokens=30))
    stop = plain.text[1][5:7]
    found, _ = counted(
        tiny_engine(limits=LIMITS, drafter=draft_model()), request(1, PROMPT, max_tokens=30, stop=(stop,))
    )
    assert found.text[1] == plain.text[1][: plain.text[1].index(stop)]
    short, _ = counted(tiny_engine(limits=LIMITS, drafter=draft_model()), request(1, PROMPT, max_tokens=6))
    assert short.tokens[1] == plain.tokens[1][:6]


def test_lookup_finds_what_followed_the_longest_end() -> None:
    lookup, state = PromptLookup(), SamplingState(GREEDY, [], 0)

    def guessed(tokens: Sequence[int], most: int = 3) -> list[int]:
        return lookup.propose([Guess(RequestId(1), list(tokens), most, state)])[0]

    assert guessed([1, 2, 3]) == []
    assert guessed([1, 2, 3, 1, 2]) == [3, 1, 2]
    assert guessed([1, 2, 3, 1, 2, 4, 1, 2]) == [4, 1, 2]  # the last time counts
    assert guessed([1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2], 1) == [4]  # 2 3 1 2 stood before a 4
    lookup.forget(RequestId(1))
    assert guessed([5, 1, 2]) == []


@pytest.mark.slow
@pytest.mark.parametrize("drafter", ["none", "near"])
def test_sampled_tokens_have_the_models_distribution(drafter: str) -> None:
    """Chi-square of the third token given the first two, over many seeds."""
    engine = tiny_engine(
        limits=replace(LIMITS, draft_tokens=3 if drafter == "near" else 0),
        drafter=draft_model(noise=0.02) if drafter == "near" else None,
    )
    sampling = Sampling(temperature=1.0, top_k=5)
    seen: dict[tuple[int, ...], Counter[int]] = {}
    for seed in range(1500):
        tokens = answers(
            engine, request(seed, [94, 7], sampling=replace(sampling, seed=seed), max_tokens=3, ignore_end=True)
        ).tokens[seed]
        seen.setdefault(tuple(tokens[:2]), Counter())[tokens[2]] += 1
    before, counts = max(seen.items(), key=lambda item: item[1].total())
    runner = ReferenceRunner(LLAMA, tiny_weights(LLAMA), pages=4, page_tokens=4)
    runner.step(step_batch([([94, 7, *before], 0, [0])]))
    logits = runner.logits()[-1].astype(np.float64)
    best = np.argsort(-logits)[:5]
    chances = np.exp(logits[best] - logits[best].max())
    chances /= chances.sum()
    expected = chances * counts.total()
    square = sum((counts[int(token)] - wanted) ** 2 / wanted for token, wanted in zip(best, expected, strict=True))
    assert set(counts) <= set(best.tolist())
    assert square < 18.5  # 4 degrees of freedom: passed by chance once in a thousand; the seeds are fixed


def test_random_numbers_are_even_and_depend_on_seed_and_position() -> None:
    values = np.array([[random_at(seed, position) for position in range(40)] for seed in range(100)])
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # 9 degrees of freedom, one in a thousand
    assert len(np.unique(values)) > 3990
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.05
    assert random_at(-1, 5) == random_at(2**64 - 1, 5)
    assert 0 <= values.min() <= values.max() < 1
