"""The runners beside transformers, on the same weights: recorded by tools/make_llm_vectors.py.

What must hold, for each runner: logits and each token's surprise within an error; of the runners in f32 all 20 greedy
answers of 64 tokens; of those that multiply bytes the perplexity of a text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from tests.llm.tiny_models import step_batch
from tests.samples.sample_repository import version_folder

from hekla.llm.model_file import open_model
from hekla.llm.options import read_options
from hekla.llm.reference_sampling import log_softmax
from hekla.llm.runner import F32, ModelRunner
from hekla.llm.runners import runner_maker

VECTORS = Path(__file__).parents[1] / "vectors"
MODELS = ("smollm2", "gemma3")
ROWS = 32
TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to compute, and how far its logits may be from transformers'."""

    options: dict[str, Any]  # Any: values of options
    logits_error: float
    loss_error: float  # of one token's surprise, in nats
    perplexity_error: float
    is_exact: bool
    text_tokens: int | None = None  # of the text, so many: NumPy takes minutes for all


KINDS = {
    "reference": Kind({"runner": "reference", "kv_type": "f32"}, 2e-3, 2e-3, 1e-4, True, text_tokens=300),
    "exact": Kind({"precision": "exact", "kv_type": "f32"}, 2e-3, 2e-3, 1e-4, True),
    "quantised": Kind({"kv_type": "f16"}, 1.0, 1.0, 0.005, False),
    "int8 pages": Kind({"kv_type": "int8"}, 1.5, 1.5, 0.015, False),
}


class Recorded:
    """The vectors of one model, and a runner of the same weights."""

    def __init__(self, name: str, kind: Kind) -> None:
        (path,) = version_folder(name).glob("*.gguf")
        self.kind = kind
        self.arrays: dict[str, NDArray[Any]] = dict(np.load(VECTORS / f"{name}.npz"))  # Any: i32 and f32
        maker = runner_maker(
            open_model(path), read_options({**kind.options, "max_step_tokens": ROWS}, ""), max_rows=ROWS
        )
        self.runner: ModelRunner = maker.make(TOKENS // maker.sizes().page_tokens, 0)

    def prompt(self, number: int) -> list[int]:
        first, last = self.arrays["prompt_start"][number : number + 2]
        return [int(token) for token in self.arrays["prompts"][first:last]]

    def logits(self, tokens: list[int]) -> F32:
        """Return the logits after each token."""
        pages, found = list(range(self.runner.pages)), []
        for first in range(0, len(tokens), ROWS):
            self.runner.step(step_batch([(tokens[first : first + ROWS], first, pages)]))
            found.append(self.runner.logits().copy())
        return np.concatenate(found)


@pytest.fixture(scope="module", params=[f"{name}, {kind}" for name in MODELS for kind in KINDS])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    name, kind = request.param.split(", ")
    return Recorded(name, KINDS[kind])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_logits_are_those_of_transformers(recorded: Recorded) -> None:
    expected, place = recorded.arrays["logits"], 0
    for number in range(4):
        found = recorded.logits(recorded.prompt(number))[:, recorded.arrays["logits_at"]]
        assert_allclose(found, expected[place : place + len(found)], atol=recorded.kind.logits_error)
        place += len(found)
    assert place == len(expected)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_greedy_answers_are_those_of_transformers(recorded: Recorded) -> None:
    if not recorded.kind.is_exact:
        pytest.skip("rounding to bytes may turn a close choice; its perplexity is held instead")
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
    text = [int(token) for token in recorded.arrays["text"][: recorded.kind.text_tokens]]
    logits = recorded.logits(text)
    loss = [-log_softmax(row.astype(np.float64))[token] for row, token in zip(logits, text[1:], strict=False)]
    expected = recorded.arrays["text_loss"][: len(loss)]
    assert_allclose(loss, expected, atol=recorded.kind.loss_error)
    perplexity, theirs = np.exp(np.mean(loss)), np.exp(expected.mean())
    assert abs(perplexity / theirs - 1) < recorded.kind.perplexity_error, (
        f"perplexity {perplexity:.3f}, transformers {theirs:.3f}"
    )
