"""The engine over the NumPy runner: what a client asked for is what it gets, alone or in a crowd."""

import json
import math
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from tests.llm.tiny_engine import answers, request, tiny_engine
from tests.llm.tiny_models import FAMILIES, LLAMA, step_batch, tiny_weights

from hekla.base.errors import ConflictError, EngineError, InputError, NotFoundError, OverloadedError, TooLargeError
from hekla.llm.engine import EngineLimits
from hekla.llm.reference import ReferenceRunner
from hekla.protocols.text_engine import Grammar, RequestId, Sampling

WARM = Sampling(temperature=1.0, seed=7)


def greedy_by_hand(prompt: list[int], length: int) -> list[int]:
    """Return the likeliest continuation, computed whole for each token."""
    tokens = list(prompt)
    for _ in range(length):
        runner = ReferenceRunner(LLAMA, tiny_weights(LLAMA), pages=16, page_tokens=4)
        runner.step(step_batch([(tokens, 0, list(range(16)))]))
        tokens.append(int(runner.logits()[-1].argmax()))
    return tokens[len(prompt) :]


def test_a_greedy_answer_is_the_likeliest_token_each_time() -> None:
    found = answers(tiny_engine(), request(1, max_tokens=10, ignore_end=True))
    assert found.tokens[1] == greedy_by_hand([94, 1, 2, 3], 10)
    assert found.reason[1] == "length"


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
def test_a_crowd_changes_no_token(config: Any) -> None:
    crowd = [
        request(number, [94, *range(number, number * 3 + 2)], sampling=replace(WARM, seed=number), ignore_end=True)
        for number in range(12)
    ]
    alone = {asked.request_id: answers(tiny_engine(config), asked).tokens[int(asked.request_id)] for asked in crowd}
    found = answers(tiny_engine(config, pages=30, max_step_tokens=16), *crowd)
    assert found.tokens == alone
    assert len({tuple(tokens) for tokens in alone.values()}) > 6


def test_the_same_seed_gives_the_same_answer_and_another_one_another() -> None:
    engine = tiny_engine()
    found = answers(
        engine,
        *(request(number, sampling=replace(WARM, seed=seed), max_tokens=12) for number, seed in enumerate((3, 3, 4))),
    )
    assert found.tokens[0] == found.tokens[1] != found.tokens[2]
    drawn = answers(engine, *(request(number, sampling=Sampling(seed=None), max_tokens=12) for number in (8, 9)))
    assert drawn.tokens[8] != drawn.tokens[9]


def test_copies_of_a_prompt_share_its_pages() -> None:
    engine = tiny_engine(limits=EngineLimits(max_running=4))
    prompt = [94, *range(20)]
    found = answers(engine, *(request(number, prompt, sampling=replace(WARM, seed=number)) for number in range(4)))
    assert [found.events[number][0].cached_tokens for number in range(4)] == [0, 20, 20, 20]
    assert engine.status().prefix_hits_tokens == 60


def test_the_next_turn_of_a_chat_is_mostly_cached() -> None:
    engine = tiny_engine()
    first = answers(engine, request(1, [94, *range(20)], ignore_end=True))
    second = answers(engine, request(2, [94, *range(20), *first.tokens[1], 5, 6]))
    assert second.events[2][0].cached_tokens == 21 + 8 - 1
    assert second.tokens[2] == answers(tiny_engine(), request(2, [94, *range(20), *first.tokens[1], 5, 6])).tokens[2]


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it() -> None:
    plain = answers(tiny_engine(), request(1, max_tokens=30, ignore_end=True, sampling=WARM))
    stop = plain.text[1][7:9]
    found = answers(tiny_engine(), request(1, max_tokens=30, ignore_end=True, sampling=WARM, stop=("never so", stop)))
    assert found.reason[1] == "stop"
    assert found.text[1] == plain.text[1][: plain.text[1].index(stop)]


def test_an_end_token_ends_the_answer_without_text() -> None:
    bias = {95: 1000.0}
    found = answers(tiny_engine(), request(1, sampling=Sampling(logit_bias=bias, seed=0)))
    assert (found.tokens[1], found.text[1], found.reason[1]) == ([95], "", "stop")
    on = answers(tiny_engine(), request(1, sampling=Sampling(logit_bias=bias, seed=0), ignore_end=True, max_tokens=3))
    assert (on.tokens[1], on.reason[1]) == ([95] * 3, "length")
    own = answers(
        tiny_engine(), request(1, stop_tokens=frozenset({2}), sampling=Sampling(logit_bias={2: 1000}, seed=0))
    )
    assert (own.tokens[1], own.text[1], own.reason[1]) == ([2], "", "stop")


def test_characters_come_whole() -> None:
    first, second = 67, 68  # the two bytes of é
    assert tiny_engine().decode([first, second]) == "é"
    engine = tiny_engine()
    grammar = Grammar("regex", "é{3}")
    found = answers(engine, request(1, grammar=grammar))
    assert found.text[1] == "ééé"
    assert all("\ufffd" not in event.text for event in found.events[1])
    cut = answers(engine, request(2, grammar=grammar, max_tokens=3))
    assert cut.text[2] == "é\ufffd"


def test_penalties_count_prompt_and_answer() -> None:
    plain = answers(tiny_engine(), request(1, max_tokens=40, ignore_end=True)).tokens[1]
    never = answers(
        tiny_engine(),
        request(1, max_tokens=40, ignore_end=True, sampling=Sampling(temperature=0, presence_penalty=100)),
    ).tokens[1]
    assert len(set(plain)) < 40
    assert len(set(never)) == 40
    banned = [plain[0], 94, 1, 2, 3]
    other = answers(
        tiny_engine(), request(1, max_tokens=1, sampling=Sampling(temperature=0, logit_bias={plain[0]: -1000}))
    )
    assert other.tokens[1][0] not in banned[:1]


def test_logprobs_are_of_the_bare_logits() -> None:
    asked = request(1, sampling=Sampling(temperature=0, logprobs=3, logit_bias={5: 1000}), max_tokens=2)
    found = answers(tiny_engine(), asked)
    event = found.events[1][0]
    runner = ReferenceRunner(LLAMA, tiny_weights(LLAMA), pages=4, page_tokens=4)
    runner.step(step_batch([([94, 1, 2, 3], 0, [0, 1])]))
    logits = runner.logits()[-1].astype(np.float64)
    natural = logits - np.log(np.exp(logits).sum())
    assert event.token == 5
    assert event.logprob == pytest.approx(natural[5], abs=1e-5)
    assert [item.token for item in event.top_logprobs] == np.argsort(-natural)[:3].tolist()
    assert math.isclose(event.top_logprobs[0].logprob, natural.max(), abs_tol=1e-5)
    assert answers(tiny_engine(), request(1)).events[1][0].logprob is None


def test_cancelling_frees_the_pages_at_once_and_brings_no_event() -> None:
    engine = tiny_engine(pages=12)
    for number in range(3):
        engine.submit(request(number, [94, *range(number, number + 9)], max_tokens=20))
    engine.step()
    assert engine.status().free_pages < 12
    for number in (0, 1, 2, 7):
        engine.cancel(RequestId(number))
        engine.tidy()
    assert engine.status().free_pages == 12
    assert not engine.has_work
    assert engine.step() == ()
    engine.submit(request(0))


def test_a_deadline_ends_a_request_where_it_is() -> None:
    now = [0.0]
    engine = tiny_engine(clock=lambda: now[0], limits=EngineLimits(max_running=1))
    engine.submit(request(1, deadline_s=5.0, max_tokens=50, ignore_end=True))
    engine.submit(request(2, deadline_s=4.0))
    assert [event.request_id for event in engine.step()] == [1]
    now[0] = 6.0
    events = engine.step()
    assert [(event.request_id, event.token, event.finish_reason) for event in events] == [
        (1, None, "deadline"),
        (2, None, "deadline"),
    ]
    assert not engine.has_work


def test_little_memory_preempts_and_changes_no_token() -> None:
    crowd = [
        request(n, [94, n, n + 1], max_tokens=30, ignore_end=True, sampling=replace(WARM, seed=n)) for n in range(4)
    ]
    roomy, tight = tiny_engine(pages=64), tiny_engine(pages=12)
    assert answers(tight, *crowd).tokens == answers(roomy, *crowd).tokens
    assert tight.status().preemptions > 0
    assert roomy.status().preemptions == 0


@pytest.mark.parametrize(
    ("grammar", "is_right"),
    [
        (Grammar("choice", '["yes", "no", "null"]'), lambda text: text in ("yes", "no", "null")),
        (Grammar("regex", "[0-9]{3}-[a-c]+!"), lambda text: text[3] == "-" and text[-1] == "!"),
        (Grammar("json_object", ""), lambda text: isinstance(json.loads(text), dict)),
        (
            Grammar("json_schema", '{"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}'),
            lambda text: json.loads(text)["on"] in (True, False),
        ),
        (Grammar("lark", 'start: "ab" NUMBER\nNUMBER: /[0-9]{2}/'), lambda text: text[:2] == "ab" and len(text) == 4),
    ],
    ids=lambda value: value.kind if isinstance(value, Grammar) else "",
)
def test_an_answer_keeps_to_its_grammar(grammar: Grammar, is_right: Any) -> None:
    for seed in range(3):
        asked = request(1, grammar=grammar, max_tokens=120, sampling=replace(WARM, seed=seed))
        found = answers(tiny_engine(), asked, request(2, max_tokens=3, ignore_end=True))
        if found.reason[1] == "stop":
            assert is_right(found.text[1]), found.text[1]
        assert found.reason[2] == "length"
    assert found.reason[1] == "stop" or grammar.kind == "json_object"


def test_a_grammar_that_never_ends_ends_with_its_length() -> None:
    grammar = Grammar("lark", 'start: "a" /[a-z]/* "!"')
    asked = request(1, grammar=grammar, max_tokens=9, sampling=Sampling(temperature=0, logit_bias={3: 1000}))
    found = answers(tiny_engine(), asked)
    assert (found.text[1], found.reason[1]) == ("ab" + "d" * 8, "length")


def test_a_grammar_without_any_text_is_an_error_of_its_request_only() -> None:
    found = answers(
        tiny_engine(),
        request(1, grammar=Grammar("lark", 'start: "a" start')),
        request(2, ignore_end=True),
    )
    assert found.reason == {1: "error", 2: "length"}
    error = found.events[1][-1].error
    assert isinstance(error, InputError)
    assert "too hard" in error.message


@pytest.mark.parametrize(
    "grammar",
    [
        Grammar("regex", "(ab"),
        Grammar("lark", "start: & 7"),
        Grammar("json_schema", "{"),
        Grammar("json_schema", '{"type": "strin"}'),
        Grammar("json_schema", "7"),
        Grammar("json_schema", "[" * 100_000),
        Grammar("choice", "[]"),
        Grammar("choice", '["a", 1]'),
        Grammar("regex", "a" * 2_000_000),
        Grammar("regex", "b[a-z&&[^a-z]]"),
        Grammar("json_schema", "false"),
    ],
)
def test_a_bad_grammar_is_refused_before_anything_runs(grammar: Grammar) -> None:
    engine = tiny_engine()
    with pytest.raises(InputError) as caught:
        engine.check(request(1, grammar=grammar))
    assert caught.value.where == "grammar"
    assert len(str(caught.value)) < 500
    with pytest.raises(InputError):
        engine.submit(request(1, grammar=grammar))
    assert not engine.has_work


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"sampling": Sampling(temperature=-1)}, "temperature"),
        ({"sampling": Sampling(temperature=float("nan"))}, "temperature"),
        ({"sampling": Sampling(top_p=1.5)}, "top_p"),
        ({"sampling": Sampling(min_p=-0.1)}, "min_p"),
        ({"sampling": Sampling(top_k=-1)}, "top_k"),
        ({"sampling": Sampling(repetition_penalty=0)}, "repetition_penalty"),
        ({"sampling": Sampling(frequency_penalty=float("inf"))}, "frequency_penalty"),
        ({"sampling": Sampling(logprobs=21)}, "logprobs"),
        ({"sampling": Sampling(logit_bias={96: 1.0})}, "logit_bias"),
        ({"prompt": (96,)}, "prompt"),
        ({"prompt": (-1,)}, "prompt"),
        ({"prompt": ()}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ("",)}, "stop"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], where: str) -> None:
    prompt = options.pop("prompt", (1,))
    with pytest.raises(InputError) as caught:
        tiny_engine().check(request(1, prompt, **options))
    assert caught.value.where == where


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers() -> None:
    with pytest.raises(TooLargeError, match=r"127 tokens.*128 tokens"):
        tiny_engine().check(request(1, [1] * 128))
    found = answers(tiny_engine(), request(1, [1] * 127, max_tokens=None, ignore_end=True))
    assert (len(found.tokens[1]), found.reason[1]) == (1, "length")


def test_a_full_queue_an_id_twice_and_a_strange_adapter_are_refused() -> None:
    engine = tiny_engine(limits=EngineLimits(max_running=1, max_waiting=1))
    engine.submit(request(1))
    with pytest.raises(ConflictError):
        engine.submit(request(1))
    with pytest.raises(OverloadedError):
        engine.submit(request(2))
    with pytest.raises(NotFoundError, match="other"):
        engine.submit(request(3, adapter="other"))
    engine.step()
    engine.submit(request(2))


def test_times_are_told_to_those_who_ask() -> None:
    ticks = count()
    engine = tiny_engine(clock=lambda: float(next(ticks)))
    found = answers(engine, request(1, is_timed=True, received_s=-3.0), request(2))
    first, second = (event.times for event in found.events[1][:2])
    assert first is not None
    assert second is not None
    assert first.queue_s >= 3
    assert first.prefill_s > 0
    assert first.decode_s == 0
    assert second.queue_s == second.prefill_s == 0
    assert second.decode_s > 0
    assert second.detokenise_s > 0
    assert found.events[2][0].times is None


def test_an_engine_that_failed_or_was_closed_says_so() -> None:
    weights = tiny_weights(LLAMA)
    weights["output.weight"] = weights["output.weight"] * np.float32(np.nan)
    engine = tiny_engine(weights=weights)
    engine.submit(request(1))
    with pytest.raises(EngineError, match="row 0"):
        engine.step()
    with pytest.raises(EngineError, match="has failed"):
        engine.step()
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.submit(request(2))
