"""Distances between points of a random sample, each to the nearest others of the sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from hekla.vector.doors.json_fields import Json
from hekla.vector.doors.point_json import id_json
from hekla.vector.doors.scope import Scope
from hekla.vector.filters import Filter, HasId, HasVector
from hekla.vector.point import PointId
from hekla.vector.queries import Nearest, Sample, Search
from hekla.vector.records import ID_ONLY


@dataclass(frozen=True, slots=True)
class Matrix:
    """Row i has the points nearest to `ids[i]`, nearest first."""

    ids: tuple[PointId, ...]  # in their order
    rows: tuple[tuple[tuple[PointId, float], ...], ...]

    def pairs(self) -> Json:
        """Return the matrix as pairs of ids."""
        each = zip(self.ids, self.rows, strict=True)
        return {"pairs": [{"a": id_json(a), "b": id_json(b), "score": score} for a, row in each for b, score in row]}

    def offsets(self) -> Json:
        """Return the matrix as columns of numbers: rows and columns are places in `ids`."""
        place = {id_: i for i, id_ in enumerate(self.ids)}
        return {
            "offsets_row": [i for i, row in enumerate(self.rows) for _ in row],
            "offsets_col": [place[id_] for row in self.rows for id_, _ in row],
            "scores": [score for row in self.rows for _, score in row],
            "ids": [id_json(id_) for id_ in self.ids],
        }


def sampled_matrix(
    scope: Scope, filter_: Filter | None, *, using: str, sample: int, limit: int, seed: int = 0
) -> Matrix:
    """Return the matrix of points drawn at random that have the vector. Errors: as Collection.query."""
    has_vector = HasVector(using)
    narrowed = Filter(must=(has_vector,) if filter_ is None else (has_vector, filter_))
    drawn = scope.query(Search(Sample(seed), sample, filter=narrowed), ID_ONLY).points
    ids = sorted((point.id for point in drawn), key=_order)
    if len(ids) < 2:
        return Matrix((), ())
    return Matrix(tuple(ids), tuple(_nearest(scope, id_, ids, using, limit) for id_ in ids))


def _nearest(
    scope: Scope, id_: PointId, ids: Sequence[PointId], using: str, limit: int
) -> tuple[tuple[PointId, float], ...]:
    others = Filter(must=(HasId(tuple(other for other in ids if other != id_)),))
    search = Search(Nearest(id_, using), limit, filter=others, is_exact=True)
    return tuple((point.id, point.score) for point in scope.query(search, ID_ONLY).points)


def _order(id_: PointId) -> tuple[bool, int]:
    return (False, id_) if isinstance(id_, int) else (True, id_.int)  # numbers come before UUIDs
