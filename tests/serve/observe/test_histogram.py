"""Histograms, against counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.base.errors import DeadlineError, DtypeError, HeklaError, OverloadedError
from hekla.serve.observe.histogram import Histogram
from hekla.serve.observe.statistics import reason_of

VALUES = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 3)))


@given(VALUES)
def test_each_bound_counts_what_is_at_or_below_it(values: list[tuple[float, int]]) -> None:
    bounds = (1.0, 5.0, 10.0)
    histogram = Histogram(bounds)
    for value, times in values:
        histogram.observe(value, times)
    every = [value for value, times in values for _ in range(times)]
    expected = [(str(b), float(sum(value <= b for value in every))) for b in bounds]
    assert histogram.cumulative() == [*expected, ("+Inf", float(len(every)))]
    assert histogram.count == len(every)
    assert histogram.total == pytest.approx(sum(every))


def test_a_quantile_is_the_bound_it_lies_under() -> None:
    histogram = Histogram((1.0, 5.0, 10.0))
    assert histogram.quantile(0.5) == 0.0
    histogram.observe(0.5, 9)
    histogram.observe(7.0)
    assert (histogram.quantile(0.5), histogram.quantile(0.99)) == (1.0, 10.0)
    histogram.observe(99.0, 100)
    assert histogram.quantile(0.99) == 10.0, "the last bound stands for all beyond"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OverloadedError("full", retry_after_s=1), "overloaded"),
        (DeadlineError("late"), "deadline"),
        (DtypeError("x", expected="FP32", got="FP64"), "dtype"),
        (HeklaError("?"), "hekla"),
    ],
)
def test_failures_are_labelled_by_their_kind(error: HeklaError, reason: str) -> None:
    assert reason_of(error) == reason
