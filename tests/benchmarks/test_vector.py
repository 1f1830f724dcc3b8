"""The comparison of vector indexes: its sets, and how a rate at a recall is read off."""

import numpy as np
import pytest

from benchmarks.vector.__main__ import rate_at
from benchmarks.vector.sets import clustered, local_intrinsic_dimension, low_rank_unit, recall


def test_a_set_is_the_same_each_time_and_its_answers_are_exact() -> None:
    some, again = (
        clustered(600, dimension=32, queries=5, intrinsic=20),
        clustered(600, dimension=32, queries=5, intrinsic=20),
    )
    assert (some.rows == again.rows).all()
    distances = ((some.rows - some.queries[0]) ** 2).sum(axis=1)
    assert some.nearest[0].tolist() == np.argsort(distances)[:10].tolist()
    assert 5 < local_intrinsic_dimension(some, k=20, sample=50) < 32


def test_unit_vectors_have_length_one() -> None:
    assert np.allclose(np.linalg.norm(low_rank_unit(300, dimension=48, queries=3).rows, axis=1), 1, atol=1e-5)


def test_recall_counts_what_was_found() -> None:
    assert recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]])) == 0.75


def test_a_rate_lies_between_the_points_around_the_recall() -> None:
    points = [[10, 0.8, 1000.0], [20, 0.9, 100.0], [30, 0.97, 90.0]]
    assert rate_at(points, 0.85, 2) == pytest.approx(316.2, rel=1e-3)
    assert rate_at(points, 0.9, 2) == pytest.approx(100)
    assert rate_at(points, 0.5, 2) == 1000.0
    assert rate_at(points, 0.99, 2) is None
