"""How many points have each value of a payload index."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hekla.base.errors import InputError, quoted
from hekla.vector import bitmap
from hekla.vector.payload.field_index import FieldIndex
from hekla.vector.payload.part_fields import blocks_of
from hekla.vector.version import Version

_KINDS = ("keyword", "uuid", "integer", "bool")


def facet_counts(
    version: Version, path: str, allowed: Sequence[bitmap.Words | None], limit: int
) -> list[tuple[str | int, int]]:
    """Return values and counts of live points, the most frequent first. Errors: InputError without such an index."""
    field = version.schema.fields.get(path)
    if field is None or field.kind not in _KINDS:
        cure = f"create an index of kind {', '.join(_KINDS)} there"
        raise InputError(f"{quoted(path)} has no index to count by", where="$.key", cure=cure)
    counts: Counter[str | int] = Counter()
    for part, words in zip(version.parts, allowed, strict=True):
        live = ~part.deleted if words is None else words & ~part.deleted
        mask = bitmap.to_mask(live, len(part.rows))
        for block in blocks_of(part, version.schema, is_whole=True):
            counts.update(_counts(block.indexes[path], mask[block.first : block.first + len(block.rows)]))
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]


def _counts(index: FieldIndex, mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> dict[str | int, int]:
    if index.postings is not None:
        postings = index.postings
        is_live = mask[postings.rows]
        sums = np.concatenate([[0], np.cumsum(is_live)])
        each = (sums[postings.row_offsets[1:]] - sums[postings.row_offsets[:-1]]).tolist()
        return {postings[i].decode("utf-8", "surrogatepass"): n for i, n in enumerate(each) if n}
    values, rows = index.sections["values"], index.sections["values.row"]
    # A row may have a value twice: it counts once.
    pairs = np.unique(np.stack([values[mask[rows]], rows[mask[rows]].astype(np.int64)]), axis=1)
    found, times = np.unique(pairs[0], return_counts=True)
    is_bool = index.field.kind == "bool"
    return {(bool(v) if is_bool else v): n for v, n in zip(found.tolist(), times.tolist(), strict=True)}
