"""The engine with SmolLM2 and Gemma 3, as they are served: crowds, conversations, a busy machine, long runs."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.llm.tiny_folder import write_tiny_folder
from tests.samples.sample_repository import version_folder

from hekla.llm.engine import LlmEngine
from hekla.llm.loader import load
from hekla.llm.model_file import open_model
from hekla.protocols.text_engine import RequestId, Sampling, TextEngineSource, TextRequest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GREEDY = Sampling(temperature=0)


def engine_of(folder: Path, **options: Any) -> LlmEngine:  # Any: values of options
    """Load a model as a server does."""
    return load(TextEngineSource("model", 1, folder, options, where="test"))


@pytest.fixture(scope="module")
def smollm2() -> Iterator[LlmEngine]:
    engine = engine_of(version_folder("smollm2"))
    yield engine
    engine.close()


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    """A folder of Gemma 3, whose attention has a window of 512 tokens on five of six layers."""
    (model,) = version_folder("gemma3").glob("*.gguf")
    (tmp_path / "gemma").mkdir()
    (tmp_path / "gemma/model.gguf").symlink_to(model)
    return tmp_path / "gemma"


def answer(engine: LlmEngine, *requests: TextRequest) -> dict[int, tuple[list[int], int]]:
    """Return the tokens of each request, and how many of its prompt were there already."""
    found: dict[int, tuple[list[int], int]] = {}
    for asked in requests:
        engine.submit(asked)
    while engine.has_work:
        for event in engine.step():
            assert event.finish_reason != "error", event.error
            tokens, cached = found.get(event.request_id, ([], 0))
            assert event.token is not None
            found[event.request_id] = ([*tokens, event.token], cached + event.cached_tokens)
    return found


def ask(number: int, prompt: tuple[int, ...], tokens: int, sampling: Sampling = GREEDY) -> TextRequest:
    return TextRequest(RequestId(number), prompt, tokens, sampling, ignore_end=True)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.9, top_p=0.95, seed=7)])
def test_a_request_gets_the_same_tokens_alone_and_among_fifteen_others(smollm2: LlmEngine, sampling: Sampling) -> None:
    random = np.random.default_rng(3)
    prompt = smollm2.encode("The ferry had not come for three days, and", is_special=True)
    alone = answer(smollm2, ask(0, prompt, 48, sampling))[0][0]
    others = [
        ask(n, tuple(random.integers(0, 49152, 5 + 37 * n).tolist()), 20 + 4 * n, Sampling(seed=n))
        for n in range(1, 16)
    ]
    crowd = answer(smollm2, *others[:7], ask(0, prompt, 48, sampling), *others[7:])
    assert crowd[0][0] == alone
    assert all(crowd[n][0] == answer(smollm2, other)[n][0] for n, other in list(enumerate(others, 1))[::7])


def second_turn(engine: LlmEngine, first: tuple[int, ...], more: tuple[int, ...]) -> list[int]:
    """Ask, go on; return the answer to the second turn, which must have cost its new tokens only."""
    said = answer(engine, ask(1, first, 40))[1][0]
    turn = (*first, *said, *more)
    tokens, cached = answer(engine, ask(2, turn, 24))[2]
    # The last token of an answer was never computed with: it and what is new is the cost of a turn.
    assert cached == len(first) + len(said) - 1
    assert tokens == answer(engine, ask(3, turn, 24))[3][0]
    return tokens


def test_the_second_turn_of_a_chat_costs_its_new_tokens(smollm2: LlmEngine) -> None:
    first = smollm2.render_chat([{"role": "user", "content": "Tell me of volcanoes. " * 40}]).tokens
    more = smollm2.encode("<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>\n<|im_start|>assistant\n", is_special=True)
    tokens = second_turn(smollm2, first, more)
    fresh = engine_of(version_folder("smollm2"))
    said = answer(fresh, ask(1, first, 40))[1][0]
    fresh.close()
    other = engine_of(version_folder("smollm2"))
    assert answer(other, ask(2, (*first, *said, *more), 24))[2] == (tokens, 0)
    other.close()


def test_the_second_turn_costs_its_new_tokens_where_attention_has_a_window(gemma: Path) -> None:
    assert any(0 < layer.window_tokens <= 512 for layer in open_model(gemma).config.layers)
    engine = engine_of(gemma, context_tokens=2048)
    first = engine.encode("In the year of the great eruption nobody went to sea. " * 60, is_special=True)
    assert len(first) > 600
    tokens = second_turn(engine, first, engine.encode(" And then, as the old people tell it,"))
    said = answer(engine, ask(4, first, 40))[4][0]
    engine.close()
    other = engine_of(gemma, context_tokens=2048)
    turn = (*first, *said, *other.encode(" And then, as the old people tell it,"))
    assert answer(other, ask(2, turn, 24))[2] == (tokens, 0)
    other.close()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_hundred_thousand_tokens_take_no_more_memory(tmp_path: Path) -> None:
    engine = engine_of(write_tiny_folder(tmp_path / "1"), context_tokens=512)
    random = np.random.default_rng(0)

    def write(tokens: int) -> None:
        while tokens > 0:
            crowd = [ask(n, tuple(random.integers(0, 250, 20).tolist()), 400, Sampling(seed=n)) for n in range(16)]
            tokens -= sum(len(found[0]) for found in answer(engine, *crowd).values())

    write(20_000)  # fills what is bounded
    before = _resident_bytes()
    write(100_000)
    grown = _resident_bytes() - before
    engine.close()
    assert grown < 1 << 20, f"{grown >> 10} KiB"


def _spin() -> None:
    while True:
        pass


def test_half_the_processors_taken_leave_half_the_speed(smollm2: LlmEngine) -> None:
    def speed() -> float:
        random = np.random.default_rng(1)
        began, engine = time.perf_counter(), smollm2
        found = answer(engine, ask(1, tuple(random.integers(0, 49152, 16).tolist()), 48))
        return len(found[1][0]) / (time.perf_counter() - began)

    alone, beside = [], []
    taken = [multiprocessing.get_context("spawn").Process(target=_spin) for _ in os.sched_getaffinity(0)][::2]
    speed()
    alone = [speed() for _ in range(4)]
    for process in taken:
        process.start()
    try:
        beside = [speed() for _ in range(6)]
    finally:
        for process in taken:
            process.kill()
            process.join()
    # its share is from a half to two thirds; a thread that waits for one that does not run would cost much more
    assert max(beside) > 0.4 * max(alone), f"{max(beside):.1f} of {max(alone):.1f} tokens/s"
