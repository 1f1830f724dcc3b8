"""Filters by index give the rows that reading every payload gives."""

from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hekla.vector import bitmap
from hekla.vector.batch import rows_from_points
from hekla.vector.filters import (
    Condition,
    Filter,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nested,
    Range,
    ValuesCount,
    moment,
)
from hekla.vector.id_lookup import IdLookup, lookup_sections
from hekla.vector.payload.conditions import Fields, filter_holds
from hekla.vector.payload.field_index import FieldIndex, build_field
from hekla.vector.payload.selection import Selector
from hekla.vector.point import Point
from hekla.vector.schema import CollectionSchema, FieldSchema, TextOptions

FIELDS = {
    "colour": FieldSchema("keyword"),
    "size": FieldSchema("integer"),
    "price": FieldSchema("float"),
    "is_new": FieldSchema("bool"),
    "made": FieldSchema("datetime"),
    "place": FieldSchema("geo"),
    "text": FieldSchema("text", TextOptions("english")),
    "owner": FieldSchema("uuid"),
    "part.colour": FieldSchema("keyword"),
}
SCHEMA = CollectionSchema({}, fields=FIELDS)
COLOURS, WORDS = ["red", "green", "blue", "Red"], ["cats", "cat", "running", "Runs", "dog"]
UUIDS = ["6f1ed002-ab59-45ad-b0a1-000000000001", "6F1ED002-AB59-45AD-B0A1-000000000001", "not one"]
DATES = ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2023-05-05", "yesterday"]
places = st.fixed_dictionaries({"lat": st.integers(-92, 90), "lon": st.integers(-180, 180)})
scalars: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.sampled_from(COLOURS + UUIDS + DATES),
    st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.booleans(),
    places,
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
payloads = st.dictionaries(
    st.sampled_from([*(path for path in FIELDS if "." not in path), "other"]), values, max_size=5
).flatmap(
    lambda payload: st.one_of(
        st.just(payload),
        st.lists(st.fixed_dictionaries({"colour": st.sampled_from(COLOURS), "n": st.integers(0, 2)}), max_size=2).map(
            lambda parts: {**payload, "part": parts}
        ),
    )
)
paths = st.sampled_from([*FIELDS, "other", "part.n", "absent"])
rings = st.lists(st.tuples(st.integers(-90, 90), st.integers(-180, 180)), min_size=3, max_size=5).map(tuple)
bounds = {side: st.one_of(st.none(), st.integers(-2, 2)) for side in ("gt", "gte", "lt", "lte")}
leaves: SearchStrategy[Condition] = st.one_of(
    st.builds(
        Match,
        paths,
        st.lists(st.sampled_from([*COLOURS, *UUIDS, 0, 1, 2, True, False]), min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        MatchText,
        paths,
        st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
        st.sampled_from(["all", "any", "phrase"]),
    ),
    st.builds(Range, paths, **bounds),
    st.builds(Range, paths, gte=st.sampled_from(DATES[:3]).map(lambda d: moment(d, "")), is_datetime=st.just(True)),
    st.builds(GeoBox, paths, st.integers(0, 90), st.integers(-180, 180), st.integers(-90, 0), st.integers(-180, 180)),
    st.builds(GeoRadius, paths, st.integers(-90, 90), st.integers(-180, 180), st.sampled_from([1e5, 1e6, 1e7])),
    st.builds(GeoPolygon, paths, rings, st.lists(rings, max_size=1).map(tuple)),
    st.builds(IsEmpty, paths),
    st.builds(IsNull, paths),
    st.builds(ValuesCount, paths, **bounds),
    st.builds(Nested, st.just("part"), st.builds(Filter, st.tuples(st.builds(Match, st.just("n"), st.just((1,)))))),
)


def filters(inner: SearchStrategy[Condition]) -> SearchStrategy[Condition]:
    several = st.lists(inner, max_size=2).map(tuple)
    return st.builds(Filter, several, several, several, st.integers(1, 2))


trees = st.recursive(leaves, filters, max_leaves=6).map(lambda c: c if isinstance(c, Filter) else Filter((c,)))


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads, max_size=12), trees)
def test_filters_by_index_give_what_reading_every_payload_gives(stored: list[dict[str, Any]], tree: Filter) -> None:
    rows = rows_from_points(SCHEMA, [Point(i, {}, payload) for i, payload in enumerate(stored)])
    as_read = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
    indexes = {path: FieldIndex(field, build_field(as_read, path, field)) for path, field in FIELDS.items()}
    found = IdLookup(lookup_sections(rows.ids)).rows
    wanted = [row for row, payload in enumerate(as_read) if filter_holds(tree, payload, FIELDS.get)]
    for given_indexes in (indexes, {}):
        fields: Fields = FIELDS.get if given_indexes else (lambda path: None)
        expected = wanted if given_indexes else [r for r, p in enumerate(as_read) if filter_holds(tree, p, fields)]
        chosen = Selector(rows, given_indexes, found).select(tree)
        assert bitmap.members(chosen, len(rows)).tolist() == expected


def test_has_id_finds_the_rows_of_ids() -> None:
    rows = rows_from_points(SCHEMA, [Point(i) for i in (5, 3, 9)])
    selector = Selector(rows, {}, IdLookup(lookup_sections(rows.ids)).rows)
    assert bitmap.members(selector.select(Filter((HasId((3, 4, 9)),))), 3).tolist() == [1, 2]
    assert bitmap.members(selector.select(Filter(must_not=(HasId((3,)),))), 3).tolist() == [0, 2]


def test_a_radius_holds_as_far_as_it_says() -> None:
    berlin, potsdam = {"lat": 52.52, "lon": 13.405}, {"lat": 52.3906, "lon": 13.0645}
    rows = rows_from_points(SCHEMA, [Point(1, {}, {"place": berlin}), Point(2, {}, {"place": potsdam})])
    index = FieldIndex(FIELDS["place"], build_field([{"place": berlin}, {"place": potsdam}], "place", FIELDS["place"]))
    selector = Selector(rows, {"place": index}, IdLookup(lookup_sections(rows.ids)).rows)
    for radius_m, count in ((26_000.0, 1), (28_000.0, 2)):  # they are 27 km apart
        words = selector.select(Filter((GeoRadius("place", 52.52, 13.405, radius_m),)))
        assert bitmap.count(words) == count
    assert np.array_equal(index.sections["lat"], sorted(index.sections["lat"]))
