"""The payload indexes of a part: a segment's lie on disk, those of points in memory are built block by block.

Points in memory are cut into blocks of 4096 and what is left into blocks of 256; a block's indexes are built when they
are first asked for and kept, for its rows never change. Under 256 rows are left over: their payloads are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from hekla.vector import bitmap
from hekla.vector.filters import Filter
from hekla.vector.payload.field_index import SECTION_NAMES, FieldIndex, build_field
from hekla.vector.payload.selection import Selector
from hekla.vector.rows import AnyArray, Ids, Rows
from hekla.vector.schema import CollectionSchema, FieldSchema
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Tail

_BLOCKS = (4096, 256)
_PREFIX = "field."


def field_sections(rows: Rows, fields: Mapping[str, FieldSchema]) -> dict[str, AnyArray]:
    """Return the sections of every payload index over these rows."""
    if not fields:
        return {}
    payloads = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
    return {
        f"{_PREFIX}{path}.{name}": array
        for path, field in fields.items()
        for name, array in build_field(payloads, path, field).items()
    }


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a part and the indexes over them."""

    first: int
    rows: Rows
    indexes: Mapping[str, FieldIndex]


def blocks_of(part: Part, schema: CollectionSchema, *, is_whole: bool = False) -> Iterator[Block]:
    """Yield a part's rows in blocks, in order; for `is_whole` the last rows have indexes too."""
    if isinstance(part.source, Segment):
        yield Block(0, part.rows, _segment_indexes(part.source, schema))
        return
    n = len(part.rows)
    first = 0
    for size in _BLOCKS:
        while n - first >= size:
            yield _block(part, first, first + size, schema.fields)
            first += size
    if first < n:
        rest = part.rows.span(first, n)
        yield _block(part, first, n, schema.fields) if is_whole else Block(first, rest, {})


def select(part: Part, filter_: Filter, schema: CollectionSchema) -> bitmap.Words:
    """Return the live rows of a part that a filter holds for."""
    chosen = [
        (Selector(block.rows, block.indexes, _finder(part, block), schema.fields).select(filter_), len(block.rows))
        for block in blocks_of(part, schema)
    ]
    if len(chosen) == 1:  # a segment is one block
        words = chosen[0][0]
    elif chosen:
        words = bitmap.of_mask(np.concatenate([bitmap.to_mask(words, rows) for words, rows in chosen]))
    else:
        words = bitmap.nothing(0)
    return words if part.live == len(part.rows) else words & ~part.deleted


class _finder:  # a function that knows its block
    def __init__(self, part: Part, block: Block) -> None:
        self._part, self._block = part, block

    def __call__(self, ids: Ids) -> AnyArray:
        found = self._part.find(ids) - self._block.first
        return found[(found >= 0) & (found < len(self._block.rows))]


def _segment_indexes(segment: Segment, schema: CollectionSchema) -> Mapping[str, FieldIndex]:
    cached = segment.derived.get("fields")
    if cached is None or cached[0] is not schema.fields:
        sections = {path: _of_field(segment.sections, path) for path in schema.fields}
        # A segment older than an index lacks its sections until it is built anew: till then they are in memory.
        older = {path: field for path, field in schema.fields.items() if "present" not in sections[path]}
        built = field_sections(segment.rows, older)
        indexes = {
            path: FieldIndex(field, sections[path] or _of_field(built, path)) for path, field in schema.fields.items()
        }
        cached = segment.derived["fields"] = (schema.fields, indexes)
    return cached[1]


def _of_field(sections: Mapping[str, AnyArray], path: str) -> dict[str, AnyArray]:
    """Return the sections of one index, by their names in it. A path may begin another: "a" and "a.b"."""
    prefix = f"{_PREFIX}{path}."
    names = {name.removeprefix(prefix): name for name in sections if name.startswith(prefix)}
    return {short: sections[name] for short, name in names.items() if short in SECTION_NAMES}


def _block(part: Part, first: int, last: int, fields: Mapping[str, FieldSchema]) -> Block:
    rows = part.rows.span(first, last)
    tail = part.source
    assert isinstance(tail, Tail)
    cached = tail.derived.get((first, last))
    if not isinstance(cached, Block) or cached.indexes.keys() != fields.keys():
        payloads: Sequence[object] = [orjson.loads(rows.payloads.at(row)) for row in range(len(rows))]
        indexes = {path: FieldIndex(field, build_field(payloads, path, field)) for path, field in fields.items()}
        cached = tail.derived[first, last] = Block(first, rows, indexes)
    return cached
