"""Whatever a request holds, it is read as a search or refused with a reason of ours."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hekla.base.errors import HeklaError, InputError, UnsupportedError
from hekla.vector.doors.formula_json import formula_json, read_formula
from hekla.vector.doors.inference import Inference
from hekla.vector.doors.json_fields import Fields
from hekla.vector.doors.multipart import read_part
from hekla.vector.doors.query_json import QueryReader
from hekla.vector.expressions import check_expression

Json = Any  # a value of a JSON document
_MANY = settings(max_examples=300, deadline=None, derandomize=True)
NAMES = """query prefetch filter limit nearest mmr diversity candidates_limit formula defaults sum mult div left right
pow base exponent sqrt ln neg lin_decay gauss_decay x target scale midpoint geo_distance origin to lat lon datetime
datetime_key must should must_not key match value range gt has_id nested fusion rrf weights k order_by recommend
positive negative strategy discover context sample words path params exact deadline_s using $score score"""
names = st.sampled_from(NAMES.split())
atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names | st.text(max_size=3)
documents = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def reader() -> QueryReader:
    def unknown(*_: object) -> Json:
        raise InputError("no such thing", where="$")

    return QueryReader(Inference(unknown, "none"), unknown)


@given(st.dictionaries(names, documents, max_size=5))
@_MANY
def test_any_object_is_a_search_or_refused(document: Json) -> None:
    with contextlib.suppress(HeklaError):
        fields = Fields(document)
        reader().search(fields)
        fields.end()


@given(documents, documents)
@_MANY
def test_any_object_is_a_formula_or_refused(formula: Json, defaults: Json) -> None:
    with contextlib.suppress(HeklaError):
        found = read_formula(Fields({"formula": formula, "defaults": defaults}))
        check_expression(found.expression, "$")
        assert read_formula(Fields(formula_json(found))) == found


@given(st.binary(max_size=300), st.binary(max_size=20), st.sampled_from([b"\r\n", b"\n", b""]))
@_MANY
def test_a_part_of_an_upload_is_found_whatever_is_in_it(content: bytes, before: bytes, end: bytes) -> None:
    mark = b"--a-mark"
    if mark in content or mark in before:
        return
    head = b'Content-Disposition: form-data; name="%s"; filename="snapshot"\r\nContent-Type: x/y\r\n\r\n'
    parts = [mark + b"\r\n" + head % name + body for name, body in ((b"other", before), (b"snapshot", content))]
    body = b"\r\n".join([*parts, mark + b"--"]) + end
    assert bytes(read_part(body, 'multipart/form-data; boundary="a-mark"', "snapshot")) == content


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"--x", b"\r\n", b"\r\n\r\n", b"--", b"name=snapshot"])).map(b"".join)
)
@_MANY
def test_any_bytes_hold_a_part_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(InputError, UnsupportedError):
        read_part(body, "multipart/form-data; boundary=x", "snapshot")
