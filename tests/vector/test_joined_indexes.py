"""The index of a merged segment, made of its parts' indexes, is byte for byte the one over its payloads."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vector.test_selection import FIELDS, payloads

from hekla.vector.payload import flat_index
from hekla.vector.payload.flat_index import FlatIndex, Sections, joined
from hekla.vector.payload.growing_field import GrowingField, IndexAsOf, build_field
from hekla.vector.payload.paths import values_at
from hekla.vector.payload.stored_index import FieldIndex

Stored = list[dict[str, Any]]
parts = st.lists(st.tuples(st.lists(payloads, max_size=6), st.booleans(), st.randoms()), min_size=1, max_size=3)


def flat_of(stored: Stored, path: str, *, is_segment: bool) -> FlatIndex:
    """Return what an index knows: a segment's, or one in memory to which rows were added since."""
    if is_segment:
        return FieldIndex(FIELDS[path], build_field(stored, path, FIELDS[path])).flat(len(stored))
    growing = GrowingField(FIELDS[path])
    for row, payload in enumerate([*stored, *stored]):
        growing.add(row, values_at(payload, path))
    return IndexAsOf(growing, len(stored)).flat()


def differing(one: Sections, other: Sections) -> list[str]:
    """Return the sections that are not the same bytes of the same type."""
    return sorted(
        name
        for name in {*one, *other}
        if name not in one or name not in other
        or one[name].dtype != other[name].dtype or one[name].tobytes() != other[name].tobytes()
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(parts, st.sampled_from(list(FIELDS)))
def test_joined_indexes_are_the_index_over_what_is_kept(given: list[tuple[Stored, bool, Any]], path: str) -> None:
    kept = [np.array([row for row in range(len(stored)) if rng.random() < 0.7], np.int64) for stored, _, rng in given]
    flat = [flat_of(stored, path, is_segment=is_segment) for stored, is_segment, _ in given]
    left = [stored[row] for (stored, _, _), rows in zip(given, kept, strict=True) for row in rows.tolist()]
    assert differing(joined(flat, kept), build_field(left, path, FIELDS[path])) == []


def test_places_of_words_that_are_not_moved_are_seen() -> None:
    one = flat_of([{"text": "dog cat"}], "text", is_segment=True)
    two = flat_of([{"text": "cat"}], "text", is_segment=True)
    assert two.words is not None
    wrong = flat_index.FlatWords(two.words.counts, two.words.offsets, two.words.places + 1, two.words.lengths)
    planted = FlatIndex("text", two.present, two.null, two.other, two.values, two.rows, two.terms, None, wrong)
    whole = build_field([{"text": "dog cat"}, {"text": "cat"}], "text", FIELDS["text"])
    each = [np.arange(1), np.arange(1)]
    assert differing(joined([one, two], each), whole) == []
    assert differing(joined([one, planted], each), whole) == ["places"]
