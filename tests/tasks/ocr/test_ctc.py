"""Greedy CTC decoding, against doing it in so many words."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.tasks.ocr.ctc import decode_greedy

CHARACTERS = ("", "a", "b", "ß", " ")
PATHS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def distribution(path: list[int], peak: float = 0.8) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return probabilities whose likeliest classes are the path."""
    steps = np.full((len(path), len(CHARACTERS)), (1 - peak) / (len(CHARACTERS) - 1), dtype=np.float32)
    steps[np.arange(len(path)), path] = peak
    return steps


@given(PATHS)
def test_repeats_are_merged_and_blanks_dropped(path: list[int]) -> None:
    expected = "".join(CHARACTERS[label] for label, _ in groupby(path))
    text, score = decode_greedy(distribution(path), CHARACTERS)
    assert text == expected
    assert score == pytest.approx(0.8 if expected else 0.0)


def test_a_blank_between_keeps_a_double_letter() -> None:
    assert decode_greedy(distribution([1, 0, 1, 1]), CHARACTERS)[0] == "aa"
    assert decode_greedy(distribution([1, 1, 1, 1]), CHARACTERS)[0] == "a"


@given(PATHS, st.integers(0, 20))
def test_blank_steps_that_fill_a_batch_change_nothing(path: list[int], padding: int) -> None:
    assert decode_greedy(distribution(path + [0] * padding), CHARACTERS) == decode_greedy(
        distribution(path), CHARACTERS
    )


def test_the_score_is_the_mean_of_the_first_step_of_each_character() -> None:
    steps = np.concatenate([distribution([1], 0.5), distribution([1], 0.9), distribution([0, 2], 0.7)])
    text, score = decode_greedy(steps, CHARACTERS)
    assert text == "ab"
    assert score == pytest.approx(0.6)
