"""Formulas, diverse results and matrices: the unmodified `qdrant-client` gets what its own local mode answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.vector.doors.test_qdrant_client import query_vector, same_points
from tests.vector.doors.worlds import DENSE, NAME, dense, random_filter, sparse

Both = tuple[QdrantClient, QdrantClient]
Expression = Any  # a number, a text, or one of two dozen classes of the client
_FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
_MANY = settings(_FEW, max_examples=1000)

numbers = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))
variables = st.sampled_from(
    ["$score", "$score[0]", "$score[1]", "$score[7]", "order", "author.age", "price", "flag", "tags", "missing"]
)
moments = st.one_of(
    st.just(models.DatetimeKeyExpression(datetime_key="at")),
    st.sampled_from(["2024-05-01T00:00:00Z", "2024-05-01", "2024-05-01T12:00:00+02:00"]).map(
        lambda text: models.DatetimeExpression(datetime=text)
    ),
)
distances = st.builds(
    lambda lat, lon, to: models.GeoDistance(
        geo_distance=models.GeoDistanceParams(origin=models.GeoPoint(lat=lat, lon=lon), to=to)
    ),
    st.floats(-60, 60),
    st.floats(-150, 150),
    st.sampled_from(["place", "place", "place", "missing", "colour"]),
)
conditions = st.integers(0, 2**32).map(lambda seed: random_filter(np.random.default_rng(seed), 1))


def decays(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    params = st.builds(
        lambda x, target, scale, midpoint: models.DecayParamsExpression(
            x=x, target=target, scale=scale, midpoint=midpoint
        ),
        inner,
        st.none() | inner,
        st.none() | st.sampled_from([0.5, 10.0, 1e6]),
        st.none() | st.sampled_from([0.1, 0.5, 0.9, 1.5]),
    )
    return st.one_of(
        params.map(lambda p: models.LinDecayExpression(lin_decay=p)),
        params.map(lambda p: models.ExpDecayExpression(exp_decay=p)),
        params.map(lambda p: models.GaussDecayExpression(gauss_decay=p)),
    )


def larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda each: models.SumExpression(sum=each)),
        several.map(lambda each: models.MultExpression(mult=each)),
        several.map(lambda each: models.MaxExpression(max=each)),
        several.map(lambda each: models.MinExpression(min=each)),
        inner.map(lambda each: models.NegExpression(neg=each)),
        inner.map(lambda each: models.AbsExpression(abs=each)),
        inner.map(lambda each: models.SqrtExpression(sqrt=models.AbsExpression(abs=each))),
        inner.map(lambda each: models.ExpExpression(exp=each)),
        inner.map(lambda each: models.Log10Expression(log10=each)),
        inner.map(lambda each: models.LnExpression(ln=each)),
        inner.map(lambda each: models.AcoshExpression(acosh=each)),
        st.builds(
            lambda left, right, default: models.DivExpression(
                div=models.DivParams(left=left, right=right, by_zero_default=default)
            ),
            inner,
            inner,
            st.none() | st.just(3.0),
        ),
        st.builds(
            lambda base, power: models.PowExpression(pow=models.PowParams(base=base, exponent=power)),
            inner,
            st.sampled_from([0.5, 2.0, -1.0]),
        ),
        decays(inner),
    )


formulas = st.recursive(st.one_of(numbers, variables, variables, moments, distances, conditions), larger, max_leaves=6)
DEFAULTS = {"price": 5.0, "missing": {"lat": 1.0, "lon": 2.0}, "$score[1]": -0.25}


def compare(both: Both, formula: Expression, defaults: dict[str, Any], **more: Any) -> None:  # Any: of query_points
    rng = np.random.default_rng(12)
    prefetch = [
        models.Prefetch(query=dense(rng, "d"), using="d", limit=30),
        models.Prefetch(query=sparse(rng), using="s", limit=30),
    ]
    query = models.FormulaQuery(formula=formula, defaults=defaults)
    try:
        expected = both[1].query_points(NAME, prefetch=prefetch, query=query, **more).points
    except (ValueError, OverflowError, TypeError, AttributeError):
        with pytest.raises(UnexpectedResponse, match="400"):
            both[0].query_points(NAME, prefetch=prefetch, query=query, **more)
        return
    same_points(both[0].query_points(NAME, prefetch=prefetch, query=query, **more).points, expected, f"{formula}")


@given(formulas, st.booleans(), st.integers(1, 70))
@_FEW
def test_formulas_give_the_same_scores_and_are_refused_alike(
    both: Both, formula: Expression, has_defaults: bool, limit: int
) -> None:
    compare(both, formula, DEFAULTS if has_defaults else {}, limit=limit)


@pytest.mark.slow
@given(formulas, st.booleans(), st.integers(1, 70))
@_MANY
def test_very_many_formulas_give_the_same(both: Both, formula: Expression, has_defaults: bool, limit: int) -> None:
    compare(both, formula, DEFAULTS if has_defaults else {}, limit=limit)


def test_a_formula_with_a_threshold_an_offset_and_a_filter(both: Both) -> None:
    boosted = models.SumExpression(sum=["$score", models.MultExpression(mult=[0.01, "author.age"])])
    compare(both, boosted, {}, limit=20, score_threshold=0.9)
    compare(both, boosted, {}, limit=10, offset=5)


def test_a_formula_is_refused_with_its_place(both: Both) -> None:
    prefetch = models.Prefetch(query=[1.0] * 8, using="d", limit=5)
    for formula, words in (
        ("price", "expected a number at .*price.* of point .*give .*price.* in"),
        (models.LnExpression(ln=0), "ln gives -inf for point"),
        ("$score[x]", r"\$score\[0\]"),
        (models.DivExpression(div=models.DivParams(left=1, right=0)), "div gives inf"),
    ):
        with pytest.raises(UnexpectedResponse, match=f"400(.|\n)*{words}"):
            both[0].query_points(NAME, prefetch=prefetch, query=models.FormulaQuery(formula=formula), limit=5)
    with pytest.raises(UnexpectedResponse, match="there are none"):
        both[0].query_points(NAME, query=models.FormulaQuery(formula=1.0))


@pytest.mark.parametrize("using", [*DENSE, "s"])
def test_diverse_results_are_the_same(both: Both, using: str) -> None:
    rng = np.random.default_rng(13)
    for diversity, candidates, limit in ((0.4, 40, 10), (0.0, 20, 20), (1.0, 30, 12), (0.2, None, 8), (None, 5, 5)):
        query = models.NearestQuery(
            nearest=query_vector(rng, using), mmr=models.Mmr(diversity=diversity, candidates_limit=candidates)
        )
        filter_ = random_filter(rng) if limit == 10 else None
        ours, theirs = (
            client.query_points(NAME, query=query, using=using, limit=limit, query_filter=filter_).points
            for client in both
        )
        what = f"{using} {diversity} {candidates} {limit}"
        assert [point.id for point in ours] == [point.id for point in theirs], what
        np.testing.assert_allclose([p.score for p in ours], [p.score for p in theirs], rtol=2e-4, atol=2e-5)


# At 0.5 a point between the query and a chosen one ties with all such under Manhattan: rounding decides.
diversities = st.floats(0, 1).filter(lambda x: abs(x - 0.5) > 1e-3)


@given(st.integers(0, 2**32), st.sampled_from([*DENSE, "s"]), diversities, st.integers(1, 30), st.integers(1, 80))
@_FEW
def test_any_diverse_results_are_the_same(
    both: Both, seed: int, using: str, diversity: float, limit: int, candidates: int
) -> None:
    query = models.NearestQuery(
        nearest=query_vector(np.random.default_rng(seed), using),
        mmr=models.Mmr(diversity=diversity, candidates_limit=candidates),
    )
    ours, theirs = (
        client.query_points(NAME, query=query, using=using, limit=limit, offset=1, with_payload=["order"]).points
        for client in both
    )
    assert [(point.id, point.payload) for point in ours] == [(point.id, point.payload) for point in theirs]


def test_diversity_is_between_0_and_1(both: Both) -> None:
    query = models.NearestQuery(nearest=[1.0] * 8, mmr=models.Mmr(diversity=1.5))
    with pytest.raises(UnexpectedResponse, match=r"must be 0 to 1, got 1\.5"):
        both[0].query_points(NAME, query=query, using="d")


@pytest.mark.parametrize("using", [*DENSE, "s"])
def test_matrices_of_all_points_that_a_filter_lets_through_are_the_same(both: Both, using: str) -> None:
    filter_ = models.Filter(must=[models.FieldCondition(key="author.age", range=models.Range(gte=30, lt=34))])
    wish: dict[str, Any] = {"query_filter": filter_, "sample": 300, "limit": 4, "using": using}  # Any: of the client
    ours, theirs = (client.search_matrix_offsets(NAME, **wish) for client in both)
    assert ours.ids == theirs.ids
    assert len(ours.ids) > 10
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=2e-4, atol=2e-5)
    assert (ours.offsets_row, ours.offsets_col) == (theirs.offsets_row, theirs.offsets_col)
    pairs = [client.search_matrix_pairs(NAME, **wish).pairs for client in both]
    assert [(pair.a, pair.b) for pair in pairs[0]] == [(pair.a, pair.b) for pair in pairs[1]]


def test_a_matrix_of_a_sample_has_that_many_points(both: Both) -> None:
    found = both[0].search_matrix_offsets(NAME, sample=20, limit=2, using="d")
    assert (len(set(found.ids)), len(found.scores)) == (20, 40)
    other = both[0].search_matrix_offsets(NAME, sample=20, limit=2, using="d")
    assert set(other.ids) != set(found.ids), "each time another sample"
