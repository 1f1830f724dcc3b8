"""Any search survives the way to a server: its JSON form is read back as the same search."""

import uuid
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from hekla.vector.doors.inference import Inference
from hekla.vector.doors.json_fields import Fields
from hekla.vector.doors.point_json import dumps
from hekla.vector.doors.query_json import QueryReader
from hekla.vector.doors.search_json import search_json
from hekla.vector.expressions import (
    Decay,
    Distance,
    Fold,
    Function,
    Moment,
    MomentAt,
    Number,
    Power,
    Quotient,
    Score,
    Value,
    When,
)
from hekla.vector.filters import (
    Condition,
    Filter,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nested,
    Range,
    ValuesCount,
)
from hekla.vector.queries import Discover, Diverse, Formula, Fusion, Nearest, OrderBy, Query, Recommend, Sample, Search
from hekla.vector.queries import Words as ByWords

numbers = st.floats(-1e6, 1e6)
paths = st.sampled_from(["a", "a.b", "a[].b", "ä ö"])
ids = st.integers(0, 2**64 - 1) | st.uuids()
texts = st.text(min_size=1, max_size=5)
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.booleans()
lats, lons = st.floats(-90, 90), st.floats(-180, 180)
corners = st.tuples(lats, lons)
rings = st.lists(corners, min_size=3, max_size=4).map(lambda each: (*each, each[0]))
moments = st.integers(0, 4 * 10**15).map(float)
bounds = st.none() | numbers
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Match, paths, st.lists(scalars, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(MatchText, paths, texts, st.sampled_from(["all", "any", "phrase"])),
    st.builds(Range, paths, bounds, bounds, bounds, bounds),
    st.builds(lambda path, low: Range(path, gte=low, is_datetime=True), paths, moments),
    st.builds(GeoBox, paths, lats, lons, lats, lons),
    st.builds(GeoRadius, paths, lats, lons, st.floats(0, 1e7)),
    st.builds(GeoPolygon, paths, rings, st.lists(rings, max_size=1).map(tuple)),
    st.builds(ValuesCount, paths, st.none() | st.integers(0, 9), st.integers(0, 9)),
    st.builds(IsEmpty, paths),
    st.builds(IsNull, paths),
    st.builds(HasId, st.lists(ids, min_size=1, max_size=3).map(tuple)),
    st.builds(HasVector, texts),
)


def filters_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    some = st.lists(inner, max_size=2).map(tuple)
    return st.builds(Filter, some, some, some)


conditions = st.recursive(
    leaves, lambda inner: filters_of(inner) | st.builds(Nested, paths, filters_of(inner)), max_leaves=4
)
filters = filters_of(conditions)
vectors = st.lists(numbers, min_size=1, max_size=3)
examples = vectors | ids
usings = st.sampled_from(["", "v"])
leaf_terms = st.one_of(
    st.builds(Number, numbers),
    st.builds(Score, st.integers(0, 9)),
    st.builds(Value, paths),
    st.builds(When, leaves),
    st.just(Moment("2024-01-01T00:00:00Z")),
    st.builds(MomentAt, paths),
    st.builds(Distance, paths, lats, lons),
)
terms = st.recursive(
    leaf_terms,
    lambda inner: st.one_of(
        st.builds(Fold, st.sampled_from(["sum", "mult", "max", "min"]), st.lists(inner, max_size=3).map(tuple)),
        st.builds(Quotient, inner, inner, bounds),
        st.builds(Power, inner, inner),
        st.builds(Function, st.sampled_from(["neg", "abs", "sqrt", "exp", "log10", "ln", "acosh"]), inner),
        st.builds(
            Decay,
            st.sampled_from(["linear", "exponential", "gauss"]),
            inner,
            inner,
            st.floats(1e-3, 1e3),
            st.floats(0.1, 0.9),
        ),
    ),
    max_leaves=5,
)
weights = st.lists(st.floats(0, 10), max_size=2).map(tuple)
queries: st.SearchStrategy[Query] = st.one_of(
    st.builds(Nearest, examples, usings),
    st.builds(Diverse, examples, usings, st.floats(0, 1), st.none() | st.integers(1, 99)),
    st.builds(ByWords, texts, paths),
    st.builds(Fusion, st.just("rrf"), weights, st.floats(0.1, 100)),
    st.builds(Fusion, st.sampled_from(["weighted", "distribution"]), weights),
    st.builds(Formula, terms, st.dictionaries(paths, numbers, max_size=2)),
    st.builds(
        Recommend,
        st.lists(examples, max_size=2).map(tuple),
        st.lists(examples, max_size=2).map(tuple),
        st.sampled_from(["average", "best_score", "sum_scores"]),
        usings,
    ),
    st.builds(
        Discover,
        st.none() | examples,
        st.lists(st.tuples(examples, examples), min_size=1, max_size=2).map(tuple),
        usings,
    ),
    st.builds(OrderBy, paths, st.booleans(), bounds),
    st.builds(Sample, st.integers(0, 2**32)),
)


def searches(prefetch: st.SearchStrategy[Any], offset: st.SearchStrategy[int]) -> st.SearchStrategy[Search]:
    return st.builds(
        Search,
        queries,
        st.integers(1, 1000),
        offset,
        st.none() | filters,
        prefetch,
        bounds,
        st.none() | st.integers(1, 1000),
        st.booleans(),
    )


inner = searches(st.just(()), st.just(0))
whole = searches(st.lists(inner, max_size=2).map(tuple), st.integers(0, 1000))


def no_lookup(name: str, id_: object, using: str) -> Any:
    raise AssertionError("no search here asks for another collection")


@given(whole)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_json_form_of_a_search_is_read_as_the_same_search(search: Search) -> None:
    fields = Fields(orjson.loads(dumps(search_json(search))))
    read = QueryReader(Inference(lambda model, texts: None, ""), no_lookup).search(fields)  # type: ignore[arg-type,return-value]  # asked for no texts
    fields.end()
    assert read == search


def test_ids_stay_numbers_and_uuids() -> None:
    for id_ in (0, 2**64 - 1, uuid.UUID(int=5)):
        assert search_json(Search(Nearest(id_)))["query"] == {"nearest": id_ if isinstance(id_, int) else str(id_)}
