"""The engine over compiled steps writes what it writes over NumPy: sampling, adapters, guesses, little memory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.llm.tiny_engine import answers, request
from tests.llm.tiny_folder import write_tiny_folder

from hekla.llm.engine import LlmEngine
from hekla.llm.loader import load
from hekla.protocols.text_engine import Grammar, Sampling, TextEngineSource, TextRequest

SAMPLINGS = (
    Sampling(temperature=0),
    Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.02, seed=1),
    Sampling(temperature=1.2, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.2, seed=2),
    Sampling(seed=3, logit_bias={65: 3.0, 66: -1000.0}, logprobs=3),
)


def write_adapter(folder: Path) -> None:
    """Write an adapter of three kinds of matrices."""
    random, tensors = np.random.default_rng(0), {}
    for layer in range(2):
        for module, outputs, inputs in (
            ("self_attn.q_proj", 32, 24),
            ("self_attn.k_proj", 16, 24),
            ("mlp.down_proj", 24, 40),
        ):
            name = f"base_model.model.model.layers.{layer}.{module}.lora_"
            tensors[f"{name}A.weight"] = random.standard_normal((2, inputs)).astype(np.float32)
            tensors[f"{name}B.weight"] = random.standard_normal((outputs, 2)).astype(np.float32)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_compiled_steps_write_the_tokens_of_the_definition(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "1")
    write_tiny_folder(folder / "draft")
    write_adapter(folder / "adapter")

    def engine(**options: Any) -> LlmEngine:  # Any: values of options
        given = {"kv_type": "f32", "context_tokens": 192, "adapters": {"one": "adapter"}, "max_running": 5, **options}
        return load(TextEngineSource("tiny", 1, folder, given))

    def crowd() -> list[TextRequest]:
        grammar = Grammar("regex", "[a-f]{4}( [0-9]{2}){3,9}!")
        return [
            request(
                number,
                [256, *b"the same beginning, and then "[: 5 + 3 * number], number],
                max_tokens=40,
                ignore_end=True,
                adapter="one" if number % 3 == 1 else "",
                sampling=SAMPLINGS[number % 4],
                grammar=grammar if number % 5 == 0 else None,
            )
            for number in range(10)
        ]

    expected = answers(engine(runner="reference"), *crowd())
    for options in ({}, {"draft": "lookup"}, {"draft": "draft", "draft_tokens": 3}, {"max_step_tokens": 16}):
        found = answers(engine(precision="exact", **options), *crowd())
        assert found.tokens == expected.tokens, options
        assert found.text == expected.text, options
        assert found.reason == expected.reason, options
    for number, events in expected.events.items():
        for event, other in zip(events, found.events[number], strict=True):
            assert [one.token for one in event.top_logprobs] == [one.token for one in other.top_logprobs]
            assert event.logprob == pytest.approx(other.logprob, abs=1e-3)
