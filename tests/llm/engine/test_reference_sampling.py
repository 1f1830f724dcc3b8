"""The definition of sampling, against its words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tests.llm.tiny_models import greedy_rows

from hekla.base.errors import EngineError
from hekla.llm.reference_sampling import choose, log_softmax, softmax
from hekla.llm.runner import F32, SamplingRows

LOGITS = np.log(np.array([[0.1, 0.4, 0.05, 0.3, 0.15]], np.float32))


def rows(**changed: Any) -> SamplingRows:  # Any: fields of SamplingRows, as lists
    made = replace(greedy_rows(1), temperature=np.ones(1, np.float32))
    return replace(made, **{name: np.array(value, getattr(made, name).dtype) for name, value in changed.items()})


def chances(logits: F32, sampling: SamplingRows, steps: int = 1000) -> list[float]:
    """Return how much of [0, 1) each token gets."""
    found = np.zeros(logits.shape[1])
    for step in range(steps):
        random = np.array([(step + 0.5) / steps], np.float32)
        found[choose(logits, replace(sampling, random=random)).tokens[0]] += 1 / steps
    return [round(float(chance), 3) for chance in found]


def test_each_token_gets_its_probability() -> None:
    assert_allclose(chances(LOGITS, rows()), [0.1, 0.4, 0.05, 0.3, 0.15], atol=2e-3)


def test_temperature_sharpens_and_zero_takes_the_likeliest() -> None:
    squares = np.array([0.1, 0.4, 0.05, 0.3, 0.15]) ** 2
    assert_allclose(chances(LOGITS, rows(temperature=[0.5])), squares / squares.sum(), atol=2e-3)
    assert chances(LOGITS, rows(temperature=[0.0]), 3)[1] == 1
    assert choose(np.zeros((1, 5), np.float32), greedy_rows(1)).tokens[0] == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"top_k": [2]}, [0, 4 / 7, 0, 3 / 7, 0]),
        ({"top_p": [0.69]}, [0, 4 / 7, 0, 3 / 7, 0]),
        ({"top_p": [0.72]}, [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85]),
        ({"top_p": [0.0]}, [0, 1, 0, 0, 0]),
        ({"min_p": [0.5]}, [0, 4 / 7, 0, 3 / 7, 0]),
        ({"top_k": [3], "top_p": [0.5]}, [0, 4 / 7, 0, 3 / 7, 0]),  # 0.4 / 0.85 alone is less than a half
        ({"top_k": [9]}, [0.1, 0.4, 0.05, 0.3, 0.15]),
    ],
)
def test_cuts_keep_the_start_of_the_order(options: dict[str, Any], expected: list[float]) -> None:
    assert_allclose(chances(LOGITS, rows(**options)), expected, atol=2e-3)


def test_penalties_and_bias_move_the_seen_tokens_only() -> None:
    logits = np.array([[2.0, -2.0, 1.0, 0.0]], np.float32)
    sampling = rows(
        repetition=[2.0],
        presence=[0.5],
        frequency=[0.25],
        seen_start=[0, 3],
        seen_token=[0, 1, 3],
        seen_prompt_or_answer=[1, 1, 0],
        seen_count=[3, 0, 0],
        seen_bias=[0.0, 0.0, 1.5],
    )
    expected = softmax(np.array([2.0 / 2 - 3 * 0.25 - 0.5, -4.0, 1.0, 1.5]))
    assert_allclose(chances(logits, sampling), expected, atol=2e-3)


def test_a_mask_forbids_and_an_empty_one_is_an_error() -> None:
    allowed = rows(mask=[[0b10101]], has_mask=[1])
    assert_allclose(chances(LOGITS, allowed), [0.1 / 0.3, 0, 0.05 / 0.3, 0, 0.15 / 0.3], atol=2e-3)
    assert_allclose(chances(LOGITS, rows(mask=[[1]], has_mask=[0])), [0.1, 0.4, 0.05, 0.3, 0.15], atol=2e-3)
    with pytest.raises(EngineError, match="allows no token"):
        choose(LOGITS, rows(mask=[[0]], has_mask=[1]))


def test_logprobs_are_of_the_bare_logits() -> None:
    found = choose(LOGITS, rows(temperature=[0.3], random=[0.0], logprobs=[3], mask=[[8]], has_mask=[1]))
    natural = log_softmax(LOGITS[0].astype(np.float64))
    assert found.tokens[0] == 3
    assert_allclose(found.logprobs[0], natural[3], rtol=1e-6)
    assert found.top_tokens[0, :4].tolist() == [1, 3, 4, -1]
    assert_allclose(found.top_logprobs[0, :3], natural[[1, 3, 4]], rtol=1e-6)
    assert np.isnan(choose(LOGITS, rows()).logprobs[0])
