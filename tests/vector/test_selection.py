"""Filters by index give the rows that reading every payload gives."""

import math
import random
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
from hekla.vector.payload.growing_field import build_field
from hekla.vector.payload.part_fields import GrowingFields
from hekla.vector.payload.selection import Selector
from hekla.vector.payload.stored_index import FieldIndex
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
RIGHT: dict[str, SearchStrategy[Any]] = {
    "colour": st.sampled_from(COLOURS),
    "size": st.integers(-3, 3),
    "price": st.sampled_from([0.5, 1.0, 2.0, -1.0]),
    "is_new": st.booleans(),
    "made": st.sampled_from(DATES[:3]),
    "place": places,
    "text": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    "owner": st.sampled_from(UUIDS),
    "other": scalars,
}


def value_for(right: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Mostly a value of the field's kind, or several; sometimes anything."""
    return st.one_of(right, right, st.lists(right, max_size=3), scalars, st.lists(scalars, max_size=2))


parts = st.lists(st.fixed_dictionaries({"colour": st.sampled_from(COLOURS), "n": st.integers(0, 2)}), max_size=2)
payloads = st.fixed_dictionaries(
    {}, optional={**{name: value_for(right) for name, right in RIGHT.items()}, "part": parts}
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
    st.builds(Range, st.sampled_from(["size", "price"]), **bounds),
    st.builds(MatchText, st.just("text"), st.sampled_from(["", *WORDS]), st.sampled_from(["all", "any", "phrase"])),
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


@settings(max_examples=300, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=12), trees)
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


@settings(max_examples=200, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=12), trees, st.data())
def test_indexes_that_grew_give_what_they_gave_when_they_had_fewer_rows(
    stored: list[dict[str, Any]], tree: Filter, data: st.DataObject
) -> None:
    rows = rows_from_points(SCHEMA, [Point(i, {}, payload) for i, payload in enumerate(stored)])
    as_read = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
    growing = GrowingFields(FIELDS)
    for size in sorted(data.draw(st.sets(st.integers(0, len(rows)), max_size=3)) | {len(rows)}):
        growing.follow(rows.span(0, size))
    size = data.draw(st.integers(0, len(rows)))
    some = rows.span(0, size)
    wanted = [row for row in range(size) if filter_holds(tree, as_read[row], FIELDS.get)]
    chosen = Selector(some, growing.as_of(some), IdLookup(lookup_sections(some.ids)).rows, FIELDS).select(tree)
    assert bitmap.members(chosen, 64 * len(chosen)).tolist() == wanted  # and no row that came later


def test_a_range_holds_to_its_bounds_exactly() -> None:
    sizes = [-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]
    prices = [0.0, 0.1, 1.0, 1e300]
    stored = [{"size": n} for n in sizes] + [{"price": x} for x in prices]
    rows = rows_from_points(SCHEMA, [Point(i, {}, payload) for i, payload in enumerate(stored)])
    indexes = {path: FieldIndex(FIELDS[path], build_field(stored, path, FIELDS[path])) for path in ("size", "price")}
    growing = GrowingFields(FIELDS).as_of(rows)
    bounds = [-math.inf, -(2.0**70), -(2**63), -0.5, -0.0, 0, 0.1, 0.5, 1, 2**53, 2**53 + 1, 2**63, 10**400, math.inf]
    for path, values in (("size", [*sizes, *[None] * len(prices)]), ("price", [*[None] * len(sizes), *prices])):
        for bound in bounds:
            for condition in (
                Range(path, bound),
                Range(path, None, bound),
                Range(path, lt=bound),
                Range(path, lte=bound),
            ):
                tree = Filter((condition,))
                wanted = [row for row, payload in enumerate(stored) if filter_holds(tree, payload, FIELDS.get)]
                for each in (indexes, growing):
                    selector = Selector(rows, each, IdLookup(lookup_sections(rows.ids)).rows, FIELDS)
                    chosen = bitmap.members(selector.select(tree), len(rows))
                    assert chosen.tolist() == wanted, (condition, [values[row] for row in wanted])


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


def random_payload(rng: random.Random) -> dict[str, Any]:
    """A payload with most of the fields, mostly of the right kind."""
    made: dict[str, Any] = {
        "colour": rng.choice(COLOURS),
        "size": rng.randint(-3, 3),
        "price": rng.choice([0.5, 1.0, 2.0, 1]),
        "is_new": rng.random() < 0.5,
        "made": rng.choice(DATES),
        "place": {"lat": rng.uniform(-90, 90), "lon": rng.uniform(-180, 180)},
        "text": " ".join(rng.choices(WORDS, k=rng.randint(0, 5))),
        "owner": rng.choice(UUIDS),
        "part": [{"colour": rng.choice(COLOURS), "n": rng.randint(0, 2)} for _ in range(rng.randint(0, 2))],
    }
    for path in list(made):
        if (chance := rng.random()) < 0.15:
            del made[path]
        elif chance < 0.25:
            made[path] = rng.choice([None, [], "red", 2, True, 1.5])
        elif chance < 0.35:
            made[path] = [made[path], rng.choice([None, "blue", 1, 0.5, "cats dog"])]
    return made


def every_leaf() -> list[Condition]:
    """Conditions of every kind, each with every bound."""
    found: list[Condition] = []
    for path in FIELDS:
        for values in (("red",), ("blue", "green"), (2,), (True,), (1, False), (UUIDS[0],)):
            found += [Match(path, values), Match(path, values, is_except=True)]
        found += [IsEmpty(path), IsNull(path), ValuesCount(path, gte=1, lt=2)]
        for bound in (-1, 1, 2):
            found += [Range(path, gt=bound), Range(path, gte=bound), Range(path, lt=bound), Range(path, lte=bound)]
        at = moment(DATES[0], "")
        found += [Range(path, gt=at, is_datetime=True), Range(path, gte=at, lte=at, is_datetime=True)]
    for words in ("cat", "cats dog", "running cat", "dog dog", ""):
        found += [MatchText("text", words, mode) for mode in ("all", "any", "phrase")]
    found += [GeoBox("place", 60, 100, -60, -100), GeoBox("place", 60, -100, -60, 100), GeoRadius("place", 10, 20, 5e6)]
    found += [GeoPolygon("place", ((0, 0), (80, 0), (80, 90)), (((20, 5), (40, 5), (40, 20)),))]
    return found


def test_every_condition_by_index_gives_what_reading_every_payload_gives() -> None:
    rng = random.Random(5)
    stored = [random_payload(rng) for _ in range(200)]
    rows = rows_from_points(SCHEMA, [Point(i, {}, payload) for i, payload in enumerate(stored)])
    as_read = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
    indexes = {path: FieldIndex(field, build_field(as_read, path, field)) for path, field in FIELDS.items()}
    selector = Selector(rows, indexes, IdLookup(lookup_sections(rows.ids)).rows)
    for leaf in every_leaf():
        for tree in (
            Filter((leaf,)),
            Filter(must_not=(leaf,)),
            Filter(should=(leaf, IsNull("size"))),
            Filter(should=(leaf, IsEmpty("colour"), Match("size", (1, 2))), min_should=2),
        ):
            wanted = [row for row, payload in enumerate(as_read) if filter_holds(tree, payload, FIELDS.get)]
            assert bitmap.members(selector.select(tree), len(rows)).tolist() == wanted, tree


def test_every_condition_as_of_some_rows_holds_for_those_rows() -> None:
    stored = [random_payload(random.Random(seed)) for seed in range(200)]
    rows = rows_from_points(SCHEMA, [Point(i, {}, payload) for i, payload in enumerate(stored)])
    growing = GrowingFields(FIELDS)
    growing.follow(rows)
    for size in (0, 1, 64, 130):
        some = rows.span(0, size)
        selector = Selector(some, growing.as_of(some), IdLookup(lookup_sections(some.ids)).rows, FIELDS)
        for leaf in every_leaf():
            tree = Filter((leaf,))
            wanted = [row for row in range(size) if filter_holds(tree, orjson.loads(rows.payloads.at(row)), FIELDS.get)]
            chosen = selector.select(tree)
            assert bitmap.members(chosen, 64 * len(chosen)).tolist() == wanted, (size, tree)
