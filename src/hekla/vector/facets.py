"""How many points have each value of a payload index."""

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, quoted
from hekla.vector import bitmap
from hekla.vector.payload.part_fields import indexes_of
from hekla.vector.payload.payload_index import PayloadIndex
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
        index = indexes_of(part, version.schema)[path]
        counts.update(_counts(index, bitmap.to_mask(live, len(part.rows))))
    return nsmallest(limit, counts.items(), key=lambda item: (-item[1], str(item[0])))


def _counts(index: PayloadIndex, live: NDArray[np.bool_]) -> Mapping[str | int, int]:
    if index.field.kind in ("keyword", "uuid"):
        return dict(index.term_counts(live).items())
    values, rows = index.numbers()
    kept = live[rows]
    values, rows = values[kept], rows[kept]
    order = np.argsort(values, kind="stable")  # of one value, the rows rise
    values, rows = values[order], rows[order]
    is_new = np.ones(len(values), np.bool_)
    is_new[1:] = values[1:] != values[:-1]
    is_counted = is_new.copy()
    is_counted[1:] |= rows[1:] != rows[:-1]  # a row may have a value twice: it counts once
    firsts = np.flatnonzero(is_new)
    times = np.add.reduceat(is_counted, firsts, dtype=np.int64) if len(firsts) else firsts
    is_bool = index.field.kind == "bool"
    return {(bool(v) if is_bool else v): n for v, n in zip(values[firsts].tolist(), times.tolist(), strict=True)}
