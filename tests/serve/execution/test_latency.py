"""The judge of whether batching pays."""

from collections import Counter

import pytest

from hekla.serve.execution.latency import LatencyModel


def _serve(model: LatencyModel, cost_s: dict[int, float], available: int, calls: int) -> Counter[int]:
    chosen: Counter[int] = Counter()
    for _ in range(calls):
        rows = model.best_rows(available)
        chosen[rows] += 1
        model.observe(rows, cost_s[rows])
    return chosen


def test_all_rows_are_taken_where_a_row_costs_less_in_company() -> None:
    model = LatencyModel()
    chosen = _serve(model, {1: 1.0, 2: 1.1, 4: 1.2, 8: 1.3}, 8, 1000)
    assert chosen[8] > 980


def test_a_model_that_only_ever_saw_full_queues_still_learns_that_one_at_a_time_is_cheaper() -> None:
    model = LatencyModel()
    cost_s = {1: 1.0, 2: 4.0, 4: 16.0, 8: 64.0}
    _serve(model, cost_s, 8, 500)
    assert _serve(model, cost_s, 8, 1000)[1] > 970


def test_the_cheapest_size_between_is_found() -> None:
    model = LatencyModel()
    cost_s = {1: 1.0, 2: 1.1, 4: 1.2, 8: 20.0}
    model.observe(1, 1.0)
    model.observe(8, 20.0)
    assert model.best_rows(8) == 4, "worse than one alone, and nobody knows of what lies between"
    _serve(model, cost_s, 8, 300)
    assert _serve(model, cost_s, 8, 1000)[4] > 960


def test_a_size_that_was_slow_is_tried_again_when_the_machine_changed() -> None:
    model = LatencyModel()
    _serve(model, {1: 1.0, 2: 9.0, 4: 20.0, 8: 50.0}, 8, 500)
    _serve(model, {1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 8, 4000)
    assert _serve(model, {1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 8, 100)[8] > 90


def test_one_slow_call_changes_little_and_a_slow_first_one_is_unlearned() -> None:
    model = LatencyModel()
    model.observe(1, 1.0)  # the first: page faults and warm-up
    for _ in range(10):
        model.observe(1, 0.01)
    expected = model.call_s(1)
    assert expected is not None
    assert expected == pytest.approx(0.01, rel=0.1)
    model.observe(1, 10.0)  # pre-empted
    slower = model.call_s(1)
    assert slower is not None
    assert slower < 1.3 * expected


def test_waiting_for_company_pays_unless_company_was_measured_to_harm() -> None:
    model = LatencyModel()
    assert model.pays_to_wait(1)
    model.observe(1, 1.0)
    assert model.pays_to_wait(1)
    model.observe(2, 4.0)
    assert not model.pays_to_wait(1)


def test_nothing_is_expected_of_a_size_never_seen() -> None:
    model = LatencyModel()
    assert (model.call_s(4), model.drain_s(10), model.best_rows(4)) == (None, 0.0, 4)
    model.observe(2, 1.0)
    assert model.drain_s(10) == 5.0
