"""The NumPy runner beside transformers, on the same weights: recorded by tools/make_llm_vectors.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from tests.llm.tiny_models import step_batch

from hekla.llm.dequantise import dequantised
from hekla.llm.model_file import ModelFile, open_model
from hekla.llm.reference import ReferenceRunner
from hekla.llm.reference_sampling import log_softmax
from hekla.llm.runner import F32

VECTORS = Path(__file__).parents[1] / "vectors"
PAGE = 16


class Recorded:
    """The vectors of one model, and a runner of the same weights."""

    def __init__(self, name: str, file: ModelFile) -> None:
        self.arrays: dict[str, NDArray[Any]] = dict(np.load(VECTORS / f"{name}.npz"))  # Any: i32 and f32
        weights = {tensor.name: dequantised(tensor) for tensor in file.tensors.values()}
        self.runner = ReferenceRunner(file.config, weights, pages=40, page_tokens=PAGE)

    def prompt(self, number: int) -> list[int]:
        first, last = self.arrays["prompt_start"][number : number + 2]
        return [int(token) for token in self.arrays["prompts"][first:last]]

    def logits(self, tokens: list[int]) -> F32:
        """Return the logits after each token."""
        self.runner.step(step_batch([(tokens, 0, list(range(len(tokens) // PAGE + 1)))]))
        return self.runner.logits()


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    package = {"smollm2": "smollm2-135m-instruct-q4_1", "gemma3": "gemma-3-270m-q4_k_m"}[request.param]
    path = Path.home() / f".cache/hekla/models/{package}.gguf"
    if not path.exists():
        pytest.skip("the model is not here: pull its sample")
    return Recorded(request.param, open_model(path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_logits_are_those_of_transformers(recorded: Recorded) -> None:
    expected, place = recorded.arrays["logits"], 0
    for number in range(4):
        found = recorded.logits(recorded.prompt(number))[:, recorded.arrays["logits_at"]]
        assert_allclose(found, expected[place : place + len(found)], atol=2e-3)
        place += len(found)
    assert place == len(expected)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_greedy_answers_are_those_of_transformers(recorded: Recorded) -> None:
    for number in range(20):
        prompt = recorded.prompt(number)
        answer = [int(token) for token in recorded.arrays["greedy"][number]]
        found = recorded.logits([*prompt, *answer[:-1]])[len(prompt) - 1 :].argmax(axis=1)
        assert found.tolist() == answer, (
            f"prompt {number}: {recorded.arrays['margin'][number].min()} was the least margin"
        )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_text_is_as_surprising_as_to_transformers(recorded: Recorded) -> None:
    text = [int(token) for token in recorded.arrays["text"]]
    logits = recorded.logits(text)
    loss = [-log_softmax(row.astype(np.float64))[token] for row, token in zip(logits, text[1:], strict=False)]
    assert_allclose(loss, recorded.arrays["text_loss"], atol=2e-3)
