"""The whole step by the definition of the language, and with every access checked."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.llm.compiled.stored import stored
from tests.llm.tiny_models import GEMMA3, LLAMA, step_batch, tiny_weights

from hekla.kernels.llm.step import step
from hekla.llm.compiled.runner import CompiledRunner
from hekla.llm.model_config import ModelConfig
from hekla.llm.runner import StepBatch


def small(config: ModelConfig) -> CompiledRunner:
    tensors = {name: stored(name, values) for name, values in tiny_weights(config).items()}
    return CompiledRunner(
        config, tensors, kv_bytes=1 << 16, page_tokens=16, max_step_tokens=4, max_logits_rows=4, kv_type="f16"
    )


def batch_of() -> StepBatch:
    batch = step_batch([([5, 6, 7], 0, [0]), ([9], 0, [1])])
    sampling = replace(
        batch.sampling, temperature=np.full(4, 0.9, np.float32), random=np.array([0.1, 0.4, 0.7, 0.9], np.float32)
    )
    return replace(batch, sampling=sampling)


def test_the_interpreter_computes_the_same_bits() -> None:
    made = small(replace(LLAMA, layers=LLAMA.layers[:1], vocabulary_tokens=32))
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in made._arguments(batch_of())]
    step.compiled_for(given, {"shape": made._shape}).interpret(*given)
    made.step(batch_of())
    last = len(given) - 1  # ticks of the clock
    for place, (expected, found) in enumerate(zip(given, made._arguments(batch_of()), strict=True)):
        if isinstance(expected, np.ndarray) and place != last:
            assert_array_equal(found.view(np.uint8), expected.view(np.uint8), f"argument {place}")


@pytest.mark.slow
@pytest.mark.parametrize("config", [LLAMA, GEMMA3], ids=lambda config: config.family)
def test_a_checked_build_finds_nothing_wrong(config: ModelConfig) -> None:
    made = small(config)
    given = made._arguments(batch_of())
    assert step.with_options(checked=True).compiled_for(given, {"shape": made._shape}).entry(*given) == 0
