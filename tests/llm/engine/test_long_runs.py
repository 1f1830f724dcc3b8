"""An engine that runs for weeks holds no more memory than after its first minutes."""

import gc
import random
import tracemalloc

import pytest
from tests.llm.tiny_engine import answers, request, tiny_engine

from hekla.llm.engine import EngineLimits, LlmEngine
from hekla.llm.speculation.lookup import PromptLookup
from hekla.protocols.text_engine import Grammar, Sampling


def busy(engine: LlmEngine, first: int, last: int) -> None:
    """Answer requests of every kind, four at a time."""
    for number in range(first, last, 4):
        dice = random.Random(number)
        answers(
            engine,
            *(
                request(
                    number + place,
                    [94, *(dice.randrange(90) for _ in range(dice.randrange(1, 30)))],
                    max_tokens=dice.randrange(1, 20),
                    tenant=f"tenant {number + place}",
                    stop=("zz", str(number)),
                    grammar=Grammar("regex", f"[a-z]{{1,{number % 300 + 1}}}") if place == 0 else None,
                    sampling=Sampling(seed=number, repetition_penalty=1.1, logit_bias={place: 1.0}, logprobs=2),
                )
                for place in range(4)
            ),
        )
        engine.submit(request(10**6, [94, *range(20)], max_tokens=9))
        engine.step()
        engine.cancel(request(10**6).request_id)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_requests_answered() -> None:
    engine = tiny_engine(limits=EngineLimits(max_running=4, draft_tokens=3), drafter=PromptLookup())
    busy(engine, 0, 1600)  # fills what is bounded: pages kept, tenants and grammars remembered
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        busy(engine, 1600, 2000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # what replaced untraced objects of before is counted: pages kept (40), tenants (1024), grammars (64)
    assert after - before < 300_000, f"{after - before} bytes more after 400 requests"
    engine.tidy()
