"""The board's numbers: quantiles over the last minute, grades, tokens a second."""

import random

import pytest

from hekla.serve.config import SlaConfig
from hekla.serve.text.sla import graded
from hekla.serve.text.statistics import HALF_S, OTHERS, WAIT_BOUNDS_S, Recent, TenantStatistics, TextStatistics

SLA = SlaConfig(first_token_ms=(100, 200, 400), between_tokens_ms=(10, 20, 40), tokens_per_s=(100, 50, 25))


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_a_quantile_is_within_its_bucket(q: float) -> None:
    recent, numbers = Recent(WAIT_BOUNDS_S), random.Random(1)
    values = sorted(numbers.lognormvariate(-4, 1) for _ in range(2000))
    for value in values:
        recent.observe(value, 0.0)
    exact = values[int(q * len(values))]
    found = recent.quantile(q, 0.0)
    assert found is not None
    around = [bound for bound in (0.0, *WAIT_BOUNDS_S) if bound <= exact]
    above = next(bound for bound in WAIT_BOUNDS_S if bound > exact)
    assert around[-1] <= found <= above


def test_what_is_old_is_forgotten() -> None:
    recent = Recent(WAIT_BOUNDS_S)
    recent.observe(5.0, 100.0)
    recent.observe(0.01, 100.0 + HALF_S)
    high = recent.quantile(0.99, 100.0 + HALF_S)
    assert high is not None
    assert high > 3
    low = recent.quantile(0.99, 100.0 + 2 * HALF_S)
    assert low is not None
    assert low <= 0.01
    assert recent.quantile(0.5, 100.0 + 9 * HALF_S) is None


@pytest.mark.parametrize(
    ("first_s", "between_s", "grade", "grades"),
    [
        (0.05, 0.005, "gold", ("gold", "gold", "gold")),
        (0.15, 0.005, "silver", ("silver", "gold", "gold")),
        (0.05, 0.03, "bronze", ("gold", "bronze", "bronze")),
        (1.0, 0.005, "none", ("none", "gold", "gold")),
        (0.05, 0.5, "none", ("gold", "none", "none")),
    ],
)
def test_the_worst_measure_is_the_grade(
    first_s: float, between_s: float, grade: str, grades: tuple[str, str, str]
) -> None:
    statistics = TenantStatistics()
    now_s = 1000.0
    for _ in range(20):
        statistics.began(first_s, now_s, 0)
        for _ in range(10):
            statistics.went_on(between_s, now_s)
        statistics.ended("stop", first_s + 10 * between_s, 11, 10 * between_s, now_s)
    row = graded(statistics, SLA, now_s)
    assert (row["grade"], tuple(row["grades"].values())) == (grade, grades)


def test_nobody_asked_is_no_grade() -> None:
    row = graded(TenantStatistics(), SLA, 5.0)
    assert row["grade"] is row["first_token_p95_ms"] is row["answer_tokens_per_s"] is None


def test_tokens_a_second_are_of_the_last_five_whole_seconds() -> None:
    statistics = TenantStatistics()
    for at in range(200):  # twenty a second
        statistics.went_on(0.05, 100.0 + at / 20)
    assert statistics.tokens_per_s(110.0) == 20
    assert statistics.tokens_per_s(112.5) == 12
    assert statistics.tokens_per_s(130.0) == 0


def test_tenants_are_not_kept_without_end() -> None:
    statistics = TextStatistics()
    for number in range(1000):
        statistics.of(f"tenant {number}").prompt_tokens += 1
    rows = dict(statistics)
    assert len(rows) == 65
    assert rows[OTHERS].prompt_tokens == 1000 - 64
