"""The nearest of a vector in one version: all that most searches ask, and a step of most others.

A part is searched by its graph where it has one, else row by row; every kernel merges what it finds into one answer.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, quoted
from hekla.kernels.answer import ANSWER_COUNT, ANSWER_IS_ZERO, PART_SHIFT
from hekla.kernels.graph_state import LATE, REFUSED
from hekla.kernels.measures import ROOT, SAME
from hekla.vector import bitmap
from hekla.vector.batch import read_vector
from hekla.vector.dense import DEFAULT_EF, exact_metric, graph_of
from hekla.vector.errors import PointError
from hekla.vector.hits import Hits
from hekla.vector.index.flat import FlatSearcher
from hekla.vector.index.found import Answer
from hekla.vector.index.searcher import Searcher
from hekla.vector.point import ScoredPoint, scored_points
from hekla.vector.records import ID_ONLY, Wanted, scored_of
from hekla.vector.rows import AnyArray, Rows
from hekla.vector.schema import VectorSchema
from hekla.vector.segment import Segment
from hekla.vector.version import Part, Version

MAX_LIMIT = 1_000_000
Allowed = list[bitmap.Words | None]  # for each part; None: all of its live rows
_ROW = (1 << PART_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class _Reader:
    """What searches one part."""

    number: int
    dead: bitmap.Words | None  # rows that are deleted or without the vector
    graph: Searcher | None
    flat: FlatSearcher


class Near:
    """Finds the nearest points of one version by one dense vector. Made once a version; any thread."""

    def __init__(self, version: Version, using: str, vector: VectorSchema) -> None:
        self._version, self._vector = version, vector
        self._most = max(1, version.live)
        # of binary vectors, what callers give is not what is stored
        self._element = None if vector.dtype == "binary" else np.dtype(_ELEMENTS[vector.dtype])
        self._shape = (vector.dimension,)
        self._readers = [_reader(i, part, using, vector) for i, part in enumerate(version.parts) if part.live]
        self._has_uuids = any(_has_uuids(part) for part in version.parts if part.live)
        self._idle: list[Answer] = []

    def points(
        self,
        vector: Any,  # Any: whatever the caller passed
        limit: int,
        *,
        offset: int = 0,
        ef: int | None = None,
        allowed: Allowed | None = None,
        until: float | None = None,
        is_exact: bool = False,
        wanted: Wanted = ID_ONLY,
        where: str = "$.query.vector",
    ) -> tuple[list[ScoredPoint], bool]:
        """Return the nearest points from `offset` on, nearest first, and whether the time did for all.

        until: `time.perf_counter()` at which to stop. Errors: PointError for a vector that does not fit; InputError.
        """
        check_limit(limit, offset, "$.limit")
        k = min(limit + offset, self._most)
        answer = self._answer(k)
        if (
            type(vector) is np.ndarray
            and vector.dtype == self._element
            and vector.shape == self._shape
            and vector.flags.c_contiguous
        ):
            step = self._into(answer, vector, k, ef, allowed, until, is_exact)
            if step == REFUSED or (self._vector.metric == "cosine" and answer.answered[ANSWER_IS_ZERO]):
                stored = read_vector(self._vector, vector, where)[0]  # says what is wrong, if anything is
                step = self._into(answer, stored, k, ef, allowed, until, is_exact)
        else:
            step = self._into(answer, read_vector(self._vector, vector, where)[0], k, ef, allowed, until, is_exact)
        if step == REFUSED:
            raise PointError("has a length past what f32 holds", where=where)
        count = answer.answered.item(ANSWER_COUNT)
        scores = _listed(answer.scores, offset, count)
        if wanted is ID_ONLY and not self._has_uuids:
            points = scored_points(_listed(answer.known, offset, count), scores)
        else:
            places = _listed(answer.places, offset, count)
            points = self._read(places, scores, wanted)
        self._idle.append(answer)
        return points, step != LATE

    def hits(
        self,
        stored: AnyArray,
        limit: int,
        *,
        ef: int | None,
        allowed: Allowed,
        until: float | None,
        is_exact: bool,
        where: str,
    ) -> Hits:
        """Return the nearest rows of a query (row_shape,) in the stored form. As `points`."""
        k = min(limit, self._most)
        answer = self._answer(k)
        step = self._into(answer, stored, k, ef, allowed, until, is_exact)
        if step == REFUSED:
            raise PointError("has a length past what f32 holds", where=where)
        count = answer.answered.item(ANSWER_COUNT)
        places = answer.places[:count]
        found = Hits(places >> PART_SHIFT, places & _ROW, answer.ranks[:count].astype(np.float64), step != LATE)
        self._idle.append(answer)
        return found

    def _answer(self, k: int) -> Answer:
        try:
            answer = self._idle.pop()  # one step of the interpreter: threads need no lock
        except IndexError:
            return Answer(k)
        return answer if answer.room >= k else Answer(k)

    def _into(
        self,
        answer: Answer,
        given: AnyArray,
        k: int,
        ef: int | None,
        allowed: Allowed | None,
        until: float | None,
        is_exact: bool,
    ) -> int:
        """Fill an answer; return the last step that was not DONE, or DONE."""
        answer.answered.fill(0)
        result = 0
        for reader in self._readers:
            some = None if allowed is None else allowed[reader.number]
            if reader.graph is not None and not is_exact:
                step = reader.graph.into(
                    answer, given, k, ef or DEFAULT_EF, allowed=some, dead=reader.dead, part=reader.number, until=until
                )
            else:
                if reader.graph is not None:
                    reader.flat.ask_for()  # the system reads nothing ahead there
                step = reader.flat.into(
                    answer, given, k, allowed=some, dead=reader.dead, part=reader.number, until=until
                )
            result = max(result, step)
        return result

    def _read(self, places: list[int], scores: list[float], wanted: Wanted) -> list[ScoredPoint]:
        parts, schema = self._version.parts, self._version.schema
        return [
            scored_of(parts[place >> PART_SHIFT].rows, place & _ROW, score, wanted, schema)
            for place, score in zip(places, scores, strict=True)
        ]


_ELEMENTS = {"f32": np.float32, "f16": np.float16, "i8": np.int8}


def near_in(version: Version, using: str) -> Near | None:
    """Return what finds the nearest by a vector, None where kernels do not know it: sparse, several a point, ..."""
    vector = version.schema.vectors.get(using)
    return None if vector is None or exact_metric(vector) is None else Near(version, using, vector)


def until_of(deadline_s: float | None) -> float | None:
    """Return the clock's time at which to stop. Errors: InputError for what is no time."""
    if deadline_s is None:
        return None
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float) or math.isnan(deadline_s):
        raise InputError(f"expected seconds, got {quoted(deadline_s)}", where="$.deadline_s")
    return time.perf_counter() + deadline_s


def check_limit(limit: int, offset: int, where: str) -> None:
    """Refuse what is no number of points. Errors: InputError."""
    if type(limit) is int and type(offset) is int and limit >= 1 and offset >= 0 and limit + offset <= MAX_LIMIT:
        return
    raise InputError(f"limit and offset are 1 to {MAX_LIMIT} together, got {limit} and {offset}", where=where)


def _listed(array: NDArray[Any], first: int, count: int) -> list[Any]:  # Any: the array's numbers
    found: list[Any] = array.tolist() if first == 0 and count == len(array) else array[first:count].tolist()
    return found


def _reader(number: int, part: Part, using: str, vector: VectorSchema) -> _Reader:
    dead = part.deleted if part.live < len(part.rows) else None
    segment = part.source
    if not isinstance(segment, Segment):
        return _Reader(number, _or(dead, _absent(part.rows, using)), None, _flat(part.rows, using, vector))
    known = segment.derived
    if f"flat.{using}" not in known:
        known[f"flat.{using}"] = (_absent(part.rows, using), _flat(part.rows, using, vector))
    absent, flat = known[f"flat.{using}"]
    return _Reader(number, _or(dead, absent), graph_searcher(part, using), flat)


def graph_searcher(part: Part, using: str) -> Searcher | None:
    """Return what searches a part's graph, None where it has none."""
    segment, graph = part.source, graph_of(part, using)
    if graph is None or not isinstance(segment, Segment):
        return None
    key = f"searcher.{using}"
    if key not in segment.derived:
        made = segment.derived[key] = graph.searcher(part.rows.dense[using].values, part.rows.ids.low)
        made.expect_disk()
    found: Searcher = segment.derived[key]
    return found


def _flat(rows: Rows, using: str, vector: VectorSchema) -> FlatSearcher:
    metric = exact_metric(vector)
    assert metric is not None, "asked before"
    scoring = None if vector.dtype != "binary" else ROOT if vector.metric == "l2" else SAME
    return FlatSearcher(rows.dense[using].values, rows.ids.low, metric, scoring)


def _absent(rows: Rows, using: str) -> bitmap.Words | None:
    is_present = rows.dense[using].is_present
    return None if is_present is None else bitmap.of_mask(~is_present)


def _or(one: bitmap.Words | None, other: bitmap.Words | None) -> bitmap.Words | None:
    if one is None or other is None:
        return other if one is None else one
    return one | other


def _has_uuids(part: Part) -> bool:
    is_uuid = part.rows.ids.is_uuid
    if isinstance(part.source, Segment):
        return is_uuid.strides != (0,)  # a column of one zero where there are none
    return bool(is_uuid.any())
